# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the rules of the audit look at, and what they find. Needs no drgn."""

MOST_NAMED = 32
DEAD = -128  # lockref_mark_dead() of lib/lockref.c; any other count below zero is wrong.


class Findings:
    """What was found broken, by rule."""

    def __init__(self):
        self.by_rule = {}

    def add(self, rule, detail, dentries=(), tasks=()):
        """Notes one breach of a rule."""
        found = self.by_rule.setdefault(rule, {"details": [], "dentries": [], "tasks": [], "times": 0})
        found["times"] += 1
        if len(found["details"]) < 3:
            found["details"].append(detail)
        for key, values in (("dentries", dentries), ("tasks", tasks)):
            room = MOST_NAMED - len(found[key])
            found[key] += [value for value in values if value not in found[key]][:room]

    def json(self):
        """The violations for autopsy.json, in the order in which they were found."""
        return [
            {
                "rule": rule,
                "detail": "; ".join(found["details"]) + (" …" if found["times"] > 3 else ""),
                "dentries": [f"{address:#x}" for address in found["dentries"]],
                "tasks": found["tasks"],
                "times": found["times"],
            }
            for rule, found in self.by_rule.items()
        ]


class World:
    """What the rules look at. `dcache` has dentries, inodes, supers, tables and counters; `tasks` is asked by two
    functions only, so that tests can make a world of their own."""

    def __init__(self, dcache, flags):
        self.dcache = dcache
        self.flags = flags
        self.stacks_read = False  # The stacks of all moving tasks were read.
        self.touched = set()  # Dentries that moving tasks point at.
        self.holders = {}  # Dentry → tasks of any kind that point at it.
        self.running_words = set()  # What stacks and registers of tasks on CPUs hold.
        self.all_inodes = set()  # Inodes on any task's stack.
        self.marking = set()  # Inodes on the stacks of tasks that change what is watched.
        self.movers = 0  # Moving tasks that point at a dentry.
        self.waiters = []  # (tid, dentry, kind) of tasks asleep: `lookup` or `blocked`.
        self.lookers = {}  # In-lookup dentry → task that looks it up.
        self.wait_gone = {}  # In-lookup dentry → why its wait queue is not where it must be.
        self.known_tasks = set()
        self.roots = {sb.root for sb in dcache.supers.values()}
        self.nfs_used = False
        self.name_count = lambda pointer: None  # References of a long name.
        self.path = lambda value: "?"
        self.alive = [value for value in dcache.dentries.values() if value.count != DEAD]

    def say(self, value):
        """`«/a/b» 0xffff…`."""
        return f"«{self.path(value)}» {value.address:#x}"

    def quiet(self, value):
        """Whether nobody is at work on a dentry or right beside it."""
        return value.address not in self.touched
