"""A farm: boards that take commands from another machine. dask.distributed schedules, carries and repeats them."""
