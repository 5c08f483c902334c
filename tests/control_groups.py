"""Control groups laid out in a folder, as the kernel shows them."""

from __future__ import annotations

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1 = "33 30 0:29 {top} /sys/fs/cgroup/{controllers} rw - cgroup cgroup rw,{controllers}\n"


def groups(root, own, mounts, **files):
    """Lay out /proc/self and control groups below root."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    (root / "proc/self/mountinfo").write_text(mounts)
    for path, text in files.items():
        file = root / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root
