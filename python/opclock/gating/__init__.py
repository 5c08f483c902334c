"""Whether a change makes models slower: two environments or revisions run them in turn, each in its own processes."""
