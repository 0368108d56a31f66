# SPDX-License-Identifier: MIT OR Apache-2.0
"""Stacks of tasks: frames with file and line, inlined ones too, and what their arguments point at."""

import drgn

from buckets import is_kernel_pointer
from case import FAULTS
from frames import Frame, Variable, relative
from layout import bare

MOST_FRAMES = 100
# Where arguments are worth their reading.
_RELEVANT = ("fs/", "kernel/locking/", "net/sunrpc/", "include/linux/", "kernel/sched/wait", "kernel/sched/completion")
_STRUCTURES = {
    "dentry",
    "file",
    "filename",
    "fsnotify_group",
    "fsnotify_mark",
    "fsnotify_mark_connector",
    "inode",
    "mount",
    "mutex",
    "nameidata",
    "nfs_unlinkdata",
    "path",
    "qstr",
    "rpc_clnt",
    "rpc_task",
    "rt_mutex",
    "rt_mutex_base",
    "rt_mutex_waiter",
    "rw_semaphore",
    "rwbase_rt",
    "semaphore",
    "spinlock",
    "super_block",
    "svc_fh",
    "svc_rqst",
    "task_struct",
    "vfsmount",
    "wait_queue_head",
}


def unwind(tasks, value, arguments=True):
    """The frames of a task, innermost first; raises what drgn raises."""
    frames = []
    for raw in list(tasks.trace(value.address))[:MOST_FRAMES]:
        frames.append(_frame(raw, arguments))
    # Behind the entry from user space there are registers, which look like one more frame.
    while frames and frames[-1].file is None and frames[-1].function.startswith("0x"):
        frames.pop()
    return frames


def _frame(raw, arguments):
    file = line = None
    try:
        source = raw.source()
        file, line = relative(source[0]), source[1] or None
    except FAULTS:
        pass
    frame = Frame(raw.name, file, line, raw.is_inline)
    if arguments and file and file.startswith(_RELEVANT):
        frame.variables = _variables(raw)
    return frame


def _variables(raw):
    found = []
    try:
        names = raw.locals()
    except FAULTS:
        return found
    for name in names:
        try:
            variable = _variable(name, raw[name])
        except FAULTS:
            continue
        if variable:
            found.append(variable)
    return found


def _variable(name, value):
    if value.absent_:
        return None
    kind = bare(value.type_)
    if kind.kind == drgn.TypeKind.POINTER:
        target = bare(kind.type)
        if target.kind == drgn.TypeKind.STRUCT and target.tag in _STRUCTURES:
            return Variable(name, target.tag, value.value_())
        if target.kind == drgn.TypeKind.INT and target.size == 1 and "name" in name:
            text = Variable(name, "char", value.value_())
            return text if is_kernel_pointer(text.address) else None
    elif kind.kind == drgn.TypeKind.STRUCT and kind.tag in _STRUCTURES and value.address_:
        return Variable(name, kind.tag, value.address_)
    return None
