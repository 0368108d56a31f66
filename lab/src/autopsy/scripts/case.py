# SPDX-License-Identifier: MIT OR Apache-2.0
"""What all parts of an autopsy share: the program, memory, warnings, and how a fault costs one part only."""

import time

import drgn

import flags
from core import Absent
from memory import Memory

# What reading a broken kernel may raise. Anything else is a mistake in these scripts, and is told as such.
FAULTS = (drgn.FaultError, drgn.ObjectAbsentError, Absent, LookupError, ValueError, TypeError, AttributeError)
FAULTS += (OverflowError, ArithmeticError, RecursionError)
MOST_WARNINGS = 100


class Late(Exception):
    """A part took longer than it may. Counted in CPU time, so that a busy host costs nothing."""


class Case:
    """One dump under the knife."""

    def __init__(self, prog, core, seconds):
        self.seconds = seconds
        self.depth = 0
        self.prog = prog
        self.core = core
        self.memory = Memory(prog, core)
        self.warnings = []
        self.until = time.process_time() + seconds
        self.release = core.info.get("OSRELEASE", "")
        self.flags = dentry_flags(prog, self.release)

    def warn(self, text):
        """Notes what could not be read, once."""
        if text not in self.warnings and len(self.warnings) < MOST_WARNINGS:
            self.warnings.append(text)

    def attempt(self, what, work, default=None):
        """Does `work`, in the time that a part may take; a fault gives `default` and a warning that names `what`."""
        if self.depth == 0:
            self.until = time.process_time() + self.seconds
        self.depth += 1
        try:
            return work()
        except Late:
            self.warn(f"{what}: given up, it took too long")
        except FAULTS as error:
            self.warn(f"{what}: {_words(error)}")
        except Exception as error:  # One part must never cost the others.
            self.warn(f"{what}: {type(error).__name__}: {_words(error)}")
        finally:
            self.depth -= 1
        return default

    def in_time(self):
        """Raises Late when the time of a part is used up."""
        if time.process_time() > self.until:
            raise Late()

    def constant(self, name, default):
        """Value of an enumerator or of a global number; `default` where the kernel has none."""
        try:
            return self.prog[name].value_()
        except FAULTS:
            return default


def dentry_flags(prog, release):
    """The bits of d_flags: from the debug information where it names them, else from a table."""
    try:
        kind = prog.type("enum dentry_flags")
        named = flags.from_enum([(item.name, item.value) for item in kind.enumerators])
        if named:
            return named
    except LookupError:
        pass
    return flags.from_macros(release)


def _words(error):
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
