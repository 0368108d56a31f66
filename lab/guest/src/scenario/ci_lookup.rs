// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lookups on a case-insensitive XFS whose entries were corrupted: directory loops and entries that lead nowhere,
//! looked up cold, in other cases than they were written in, by many at once. They fail half-way, after a dentry
//! of the right case was allocated: it must be let go as one that is still being looked up.
//!
//! Beside them the sound use: all spellings of a name are one file.
//!
//! What threads share they spell in one way for a whole run, which is not the disk's. d_add_ci() lends the wait
//! queue of the one dentry to the other, and who waited for the one stays on the queue when it is woken for the
//! other: with two spellings looked up at once, an unchanged Linux 6.12 wakes a task that has long gone on, and
//! walks over its stack. The operation `cases`, which nobody gets who does not name it, shows that.

use super::caches::Caches;
use super::fault::{Fault, due, gone, may};
use super::rounds::Rounds;
use super::step::{Step, operations};
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops::{self, Name, errno_name};
use crate::rng::Rng;
use lab_wire::Scenario;
use libc::{ELOOP, ENOENT, ESTALE, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

operations! {
    /// What this scenario does.
    pub(crate) enum Op {
        Loop "loop" 60 "Looks up an entry that leads to an ancestor, in another case.",
        Twin "twin" 30 "Looks up a directory that has two parents by one of them.",
        Free "free" 15 "Looks up an entry of a free inode.",
        Sound "sound" 40 "Looks up a sound entry in another case.",
        Spell "spell" 20 "Makes a file and finds it by all spellings.",
        Negative "negative" 20 "Looks for spellings in vain, makes the file, and finds it by each.",
        Turn "turn" 15 "Renames a name of its own to another case and to others.",
        Cases "cases" 0 "Looks up an entry that leads to an ancestor in many spellings at once.",
        Drop "drop" 4 "Drops dentries and inodes by /proc/sys/vm/drop_caches.",
    }
}

/// The entries of the disk that lead to an ancestor: directory and name.
const LOOPS: [(usize, &CStr); 3] = [
    (0, c"Loop"),
    (0, c"A-Loop-With-A-Name-That-Is-Too-Long-For-Its-Dentry"),
    (2, c"Down"),
];
/// Directories of the disk below `loops`.
const DIRS: [&str; 5] = ["a", "b", "b/Up", "c", "d"];
/// The directories that both say to hold one directory, `Twin`.
const TWINS: [usize; 2] = [3, 4];
/// Keeps the random numbers of rounds and of the spelling apart from those of threads.
const LANE: u64 = 1 << 63;
/// See [`LANE`].
const SPELLING: u64 = 1 << 62;
/// Longest name here.
const NAME: usize = 64;

/// State of the scenario.
#[derive(Debug)]
struct Folding {
    dirs: Vec<OwnedFd>,
    own: OwnedFd,
    rounds: Rounds,
    caches: Option<Caches>,
    /// The inode numbers of `a/Sound` and of the twins.
    sound: u64,
    twin: u64,
}

/// Opens the disk's directories.
///
/// # Errors
/// When the disk is not the one that the lab makes for this.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let failed = |what: &str, errno| Refusal::Failed(format!("{what}: {}", errno_name(errno)));
    let held = |path: &std::path::Path| {
        let text = CString::new(path.as_os_str().as_encoded_bytes());
        let text = text.map_err(|error| Refusal::Failed(error.to_string()))?;
        ops::open_dir(&text).map_err(|errno| failed(&format!("open {}", path.display()), errno))
    };
    let top = place.base.parent().unwrap_or(&place.base).join("loops");
    let dirs: Vec<OwnedFd> = DIRS
        .iter()
        .map(|dir| held(&top.join(dir)))
        .collect::<Result<_, _>>()?;
    let number = |dir: usize, name| {
        let meta = ops::stat(dirs[dir].as_fd(), name);
        meta.map(|meta| meta.ino)
            .map_err(|errno| failed("stat of a sound entry", errno))
    };
    let (sound, twin) = (number(0, c"Sound")?, number(TWINS[0], c"Twin")?);
    // With few threads there are none to spare for a team.
    let team = if asked.threads < 4 {
        0
    } else {
        asked.threads / 2
    };
    Ok(Box::new(Folding {
        own: held(&place.base)?,
        rounds: Rounds::new(team),
        caches: Caches::open(),
        dirs,
        sound,
        twin,
    }))
}

/// A name with the case of its letters as the bits of a number say, on the stack.
struct Spelling([u8; NAME]);

impl Spelling {
    fn new(name: &CStr, mut bits: u64) -> Self {
        let mut bytes = [0; NAME];
        for (to, from) in bytes[..NAME - 1].iter_mut().zip(name.to_bytes()) {
            *to = match (from.is_ascii_alphabetic(), bits & 1) {
                (true, 0) => from.to_ascii_lowercase(),
                (true, _) => from.to_ascii_uppercase(),
                (false, _) => *from,
            };
            if from.is_ascii_alphabetic() {
                bits = bits.rotate_right(1);
            }
        }
        Self(bytes)
    }

    fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"?")
    }
}

/// A step's numbers: which entry, and how it is spelt.
fn spelt(step: &Step, name: &CStr) -> Spelling {
    let bits = u64::from(step.args[1]) | u64::from(step.args[2]) << 32;
    Spelling::new(name, bits)
}

/// The step with the run's own spelling of what threads share. The disk's names begin with a capital, this not.
fn shared(step: Step, seed: u64) -> Step {
    if matches!(Op::of(step.op), Op::Loop | Op::Twin | Op::Free | Op::Sound) {
        let bits = Rng::new(seed, SPELLING).next();
        let [which, _, _, how] = step.args;
        let args = [which, bits as u32 & !1, (bits >> 32) as u32, how];
        return Step::new(step.op, args);
    }
    step
}

impl Folding {
    fn dir(&self, place: usize) -> BorrowedFd<'_> {
        self.dirs[place].as_fd()
    }

    fn act(&self, step: &Step, worker: u32) -> Result<(), Fault> {
        match Op::of(step.op) {
            Op::Loop | Op::Cases => self.ancestor(step),
            Op::Twin => self.twin(step),
            Op::Free => {
                let found = ops::stat(self.dir(3), spelt(step, c"Gone").as_c());
                match found.map_err(may(
                    "stat of a free inode",
                    &[ENOENT, ESTALE, libc::EUCLEAN],
                )) {
                    Err(Fault::Answer(_)) => Ok(()),
                    Err(wrong) => Err(wrong),
                    Ok(meta) => Err(Fault::Wrong(
                        "free inode found",
                        format!("stat finds inode {}", meta.ino),
                    )),
                }
            }
            Op::Sound => {
                let meta = ops::stat(self.dir(0), spelt(step, c"Sound").as_c());
                let meta = meta.map_err(due("stable name lost", "stat"))?;
                same(meta.ino, self.sound, "stable name is another file")
            }
            Op::Spell => self.spell(step, worker),
            Op::Negative => self.negative(step, worker),
            Op::Turn => self.turn(step, worker),
            Op::Drop => self.caches.as_ref().map_or(Ok(()), Caches::drop_dentries),
        }
    }

    /// An entry that leads to an ancestor is never found; the kernel says that it would be a loop.
    fn ancestor(&self, step: &Step) -> Result<(), Fault> {
        let (dir, name) = LOOPS[step.args[0] as usize % LOOPS.len()];
        let name = spelt(step, name);
        let found = match step.args[3] % 3 {
            0 => ops::open(self.dir(dir), name.as_c(), O_RDONLY | O_DIRECTORY).map(drop),
            _ => ops::stat(self.dir(dir), name.as_c()).map(drop),
        };
        match found {
            Err(ELOOP) => Ok(()),
            Err(errno) => Err(due("directory loop is not ELOOP", "lookup")(errno)),
            Ok(()) => Err(Fault::Wrong(
                "directory loop is not ELOOP",
                "it was found".into(),
            )),
        }
    }

    /// A directory with two parents is moved to where it is looked up; who comes in between may be refused.
    fn twin(&self, step: &Step) -> Result<(), Fault> {
        let dir = TWINS[step.args[0] as usize % TWINS.len()];
        let meta = ops::stat(self.dir(dir), spelt(step, c"Twin").as_c());
        let meta = meta.map_err(may("stat of a twin", &[ESTALE]))?;
        same(meta.ino, self.twin, "stable name is another file")
    }

    /// A file is found by each spelling, and cannot be made again by another.
    fn spell(&self, step: &Step, worker: u32) -> Result<(), Fault> {
        const LOST: &str = "own name lost";
        let (own, name) = (self.own.as_fd(), Name::new("own", worker.into()));
        let made = spelt(step, name.as_c());
        let ino = make(own, made.as_c())?;
        for bits in 0..8 {
            let other = Spelling::new(name.as_c(), bits);
            let meta = ops::stat(own, other.as_c()).map_err(due(LOST, "stat"))?;
            same(meta.ino, ino, "spellings are two files")?;
            match ops::open(own, other.as_c(), O_RDWR | O_CREAT | O_EXCL) {
                Err(libc::EEXIST) => {}
                Err(errno) => return Err(due("name made in two spellings", "create")(errno)),
                Ok(_) => return Err(Fault::wrong("name made in two spellings", "it was made")),
            }
        }
        self.end(step, name)
    }

    /// Spellings looked for in vain are found once the file is there.
    fn negative(&self, step: &Step, worker: u32) -> Result<(), Fault> {
        const LOST: &str = "own name lost";
        let (own, name) = (self.own.as_fd(), Name::new("neg", worker.into()));
        for bits in 0..8 {
            gone(
                own,
                Spelling::new(name.as_c(), bits).as_c(),
                "own name not free",
            )?;
        }
        let made = spelt(step, name.as_c());
        let ino = make(own, made.as_c())?;
        for bits in 0..8 {
            let other = Spelling::new(name.as_c(), bits);
            let meta = ops::stat(own, other.as_c()).map_err(due(LOST, "stat"))?;
            same(meta.ino, ino, "spellings are two files")?;
        }
        self.end(step, name)
    }

    /// Removes a name by some spelling; none is left.
    fn end(&self, step: &Step, name: Name) -> Result<(), Fault> {
        let own = self.own.as_fd();
        let by = Spelling::new(name.as_c(), u64::from(step.args[3]));
        ops::unlink(own, by.as_c(), 0).map_err(due("own name lost", "unlink"))?;
        (0..8).try_for_each(|bits| {
            let other = Spelling::new(name.as_c(), bits);
            gone(own, other.as_c(), "unlinked name still there")
        })
    }

    /// A name is renamed to another name and back in another case.
    fn turn(&self, step: &Step, worker: u32) -> Result<(), Fault> {
        const LOST: &str = "own name lost";
        let own = self.own.as_fd();
        let (from, to) = (
            Name::new("mov", worker.into()),
            Name::new("end", worker.into()),
        );
        let made = spelt(step, from.as_c());
        let flags = O_RDWR | O_CREAT | O_EXCL;
        let file =
            ops::open(own, made.as_c(), flags).map_err(due("own name not free", "create"))?;
        let ino = ops::stat(file.as_fd(), c"")
            .map_err(due(LOST, "fstat"))?
            .ino;
        let other = Spelling::new(from.as_c(), u64::from(step.args[3]));
        let target = spelt(step, to.as_c());
        ops::rename((own, other.as_c()), (own, target.as_c())).map_err(due(LOST, "rename"))?;
        for bits in 0..8 {
            let old = Spelling::new(from.as_c(), bits);
            gone(own, old.as_c(), "renamed name still there")?;
            let new = Spelling::new(to.as_c(), bits);
            let meta = ops::stat(own, new.as_c()).map_err(due(LOST, "stat"))?;
            same(meta.ino, ino, "spellings are two files")?;
        }
        self.end(step, to)
    }

    /// All at once look up one entry, each in a spelling of its own or in the same.
    fn team(&self, worker: &mut Worker<'_>) {
        let shared = worker.shared;
        while let Some(round) = self.rounds.meet(&shared.stop) {
            let mut rng = Rng::new(shared.asked.seed, LANE | u64::from(round));
            let op = [Op::Loop, Op::Loop, Op::Twin, Op::Free][rng.below(4) as usize];
            let args: [u32; 4] = std::array::from_fn(|_| rng.next() as u32);
            self.step(worker, Step::new(op as u8, args));
        }
    }

    fn step(&self, worker: &mut Worker<'_>, step: Step) {
        let number = worker.number;
        let step = shared(step, worker.shared.asked.seed);
        worker.step(step, || {
            self.act(&step, number).inspect_err(|_| {
                if matches!(Op::of(step.op), Op::Spell | Op::Negative | Op::Turn) {
                    self.tidy(number);
                }
            })
        });
    }

    /// Removes what a broken sequence may have left.
    fn tidy(&self, worker: u32) {
        for prefix in ["own", "neg", "mov", "end"] {
            // What is not there needs no removal.
            let _ = ops::unlink(self.own.as_fd(), Name::new(prefix, worker.into()).as_c(), 0);
        }
    }
}

fn same(is: u64, was: u64, oracle: &'static str) -> Result<(), Fault> {
    if is == was {
        return Ok(());
    }
    Err(Fault::Wrong(oracle, format!("inode {was} is {is}")))
}

impl Stage for Folding {
    fn work(&self, worker: &mut Worker<'_>) {
        if worker.number < self.rounds.team() {
            return self.team(worker);
        }
        while !worker.stopped() {
            let op = worker.pick();
            let args = std::array::from_fn(|_| worker.rng.next() as u32);
            self.step(worker, Step::new(op, args));
        }
    }

    fn show(&self, step: &Step) -> String {
        let op = Op::of(step.op);
        let at = |dir: usize, name| {
            let name = spelt(step, name);
            format!(
                "{} {}/{}",
                op.name(),
                DIRS[dir],
                name.as_c().to_string_lossy()
            )
        };
        match op {
            Op::Loop | Op::Cases => {
                let (dir, name) = LOOPS[step.args[0] as usize % LOOPS.len()];
                at(dir, name)
            }
            Op::Twin => at(TWINS[step.args[0] as usize % TWINS.len()], c"Twin"),
            Op::Free => at(3, c"Gone"),
            Op::Sound => at(0, c"Sound"),
            _ => op.name().to_owned(),
        }
    }

    fn numbers(&self) -> Vec<Number> {
        vec![Number::count("rounds", self.rounds.count().into())]
    }
}

/// Makes a file of a name that is free; gives its inode.
fn make(dir: BorrowedFd<'_>, name: &CStr) -> Result<u64, Fault> {
    let file = ops::open(dir, name, O_RDWR | O_CREAT | O_EXCL);
    let file = file.map_err(due("own name not free", "create"))?;
    let meta = ops::stat(file.as_fd(), c"").map_err(due("own name lost", "fstat"))?;
    Ok(meta.ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_spell_what_they_share_in_one_way_that_is_not_the_disks() {
        for seed in 0..50 {
            let step = |args| shared(Step::new(Op::Loop as u8, args), seed);
            let (one, two) = (step([0, 1, 2, 3]), step([0, 9, 8, 7]));
            for (_, name) in LOOPS {
                assert_eq!(spelt(&one, name).0, spelt(&two, name).0);
                assert_ne!(spelt(&one, name).as_c(), name);
            }
        }
    }

    #[test]
    fn the_bits_of_a_number_spell_a_name() {
        let spelt = |bits| Spelling::new(c"a-Long1", bits).as_c().to_owned();
        assert_eq!(spelt(0).as_c_str(), c"a-long1");
        assert_eq!(spelt(0b11111).as_c_str(), c"A-LONG1");
        assert_eq!(spelt(0b00010).as_c_str(), c"a-Long1");
        let long = LOOPS[1].1;
        let same = Spelling::new(long, u64::MAX).as_c().to_bytes().to_vec();
        assert_eq!(same, long.to_bytes().to_ascii_uppercase());
    }
}
