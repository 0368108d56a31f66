# SPDX-License-Identifier: MIT OR Apache-2.0
"""NFS: RPC tasks of the client in flight, threads of the server and what they answer, exported filesystems."""

import drgn
from drgn.helpers.linux.kthread import kthread_data
from drgn.helpers.linux.list import hlist_for_each_entry, list_for_each_entry
from drgn.helpers.linux.net import for_each_net

from case import FAULTS

MOST_RPC = 1000
CLIENT_TYPES = ("nfs", "nfs4")


def _per_net(case, name, kind):
    """What a part of the kernel keeps in each network namespace."""
    number = case.prog[name].value_()
    for net in for_each_net(case.prog):
        own = net.gen.ptr[number]
        if own:
            yield drgn.cast(f"struct {kind} *", own)


def rpc_tasks(case):
    """The RPC tasks of all clients, as drgn objects."""
    found = []
    try:
        nets = list(_per_net(case, "sunrpc_net_id", "sunrpc_net"))
    except LookupError:
        return found
    for net in nets:
        for client in list_for_each_entry("struct rpc_clnt", net.all_clients.address_of_(), "cl_clients"):
            for task in list_for_each_entry("struct rpc_task", client.cl_tasks.address_of_(), "tk_task"):
                case.in_time()
                if len(found) >= MOST_RPC:
                    case.warn(f"more than {MOST_RPC} RPC tasks; the rest is left out")
                    return found
                found.append(task)
    return found


def rpc_json(task, owner):
    """An RPC task for autopsy.json."""
    return {
        "id": task.tk_pid.value_(),
        "procedure": _text(lambda: task.tk_msg.rpc_proc.p_name.string_()) or "?",
        "status": task.tk_status.value_(),
        "queue": _text(lambda: task.tk_waitqueue.name.string_()) if task.tk_waitqueue else None,
        "owner": owner,
    }


def _text(read):
    try:
        return read().decode("utf-8", "backslashreplace")
    except FAULTS:
        return None


def transaction(task):
    """Transaction id (XID) of an RPC task's request; None before it has one."""
    try:
        return task.tk_rqstp.rq_xid.value_() if task.tk_rqstp else None
    except FAULTS:
        return None


def servers(case, tasks, stacks):
    """{XID: tid} of the server's threads that are at work; `stacks` holds frames by tid."""
    found = {}
    for value in tasks.all.values():
        functions = {frame.function for frame in stacks.get(value.pid, ())}
        if "nfsd_dispatch" not in functions:
            continue
        try:
            data = kthread_data(drgn.Object(case.prog, "struct task_struct *", value.address))
            found[drgn.cast("struct svc_rqst *", data).rq_xid.value_()] = value.pid
        except FAULTS:
            continue
    return found


def exported(case):
    """Superblocks that the NFS server exports."""
    found = set()
    try:
        nets = list(_per_net(case, "nfsd_net_id", "nfsd_net"))
    except LookupError:
        return found
    for net in nets:
        cache = net.svc_export_cache
        if not cache or not cache.hash_table:
            continue
        for bucket in range(cache.hash_size.value_()):
            for head in hlist_for_each_entry("struct cache_head", cache.hash_table[bucket].address_of_(), "cache_list"):
                case.in_time()
                export = drgn.container_of(head, "struct svc_export", "h")
                if export.ex_path.mnt:
                    found.add(export.ex_path.mnt.mnt_sb.value_())
    return found


def sides(case, dcache):
    """Marks superblocks as those of the client or of the server."""
    for sb in dcache.supers.values():
        if sb.type in CLIENT_TYPES:
            sb.side = "nfs-client"
    for address in exported(case):
        sb = dcache.supers.get(address)
        if sb and sb.type not in ("nfsd", "rpc_pipefs"):
            sb.side = "nfs-server"


def side_of(frames):
    """Where a task works, by its stack."""
    functions = {frame.function for frame in frames}
    files = [frame.file for frame in frames if frame.file]
    if "nfsd" in functions or any(file.startswith(("fs/nfsd/", "fs/lockd/svc")) for file in files):
        return "nfs-server"
    if any(file.startswith(("fs/nfs/", "net/sunrpc/")) for file in files):
        return "nfs-client"
    return None
