// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is freed, decided from what there is: a value, without a look at any disk.

use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What was used this lately may be about to be used: a kernel just built and not booted yet.
const LATELY: Duration = Duration::from_secs(3600);

/// How much may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What was not used for this long goes.
    pub keep: Duration,
    /// Bytes of kernels, work folders and disk images together.
    pub cache_bytes: u64,
    /// Bytes of dumps.
    pub dump_bytes: u64,
}

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What a killed lab left.
    Leftover,
    /// A dump of a guest's memory.
    Dump,
    /// A finished kernel.
    Kernel,
    /// A work folder of builds.
    Slot,
    /// A formatted disk.
    Image,
    /// Remembered runs of a base.
    Control,
}

/// Something that takes space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Thing {
    /// Its kind.
    pub kind: Kind,
    /// Its file or folder.
    pub path: PathBuf,
    /// Bytes on the disk.
    pub bytes: u64,
    /// When it was last used.
    #[serde(skip)]
    pub used: SystemTime,
    /// Why it must stay, whatever the policy.
    pub held: Option<String>,
    /// Kernels: the dumps that were made of it and still exist.
    pub dumps: Vec<PathBuf>,
    /// Controls: the kernels they are of.
    pub of: Vec<PathBuf>,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fate", content = "why")]
pub enum Fate {
    /// It goes, for this reason.
    Free(String),
    /// It stays, because it must.
    Held(String),
    /// It stays, because there is room and it is not old.
    Stay,
    /// It was to go and could not.
    Failed(String),
}

/// What becomes of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The thing.
    #[serde(flatten)]
    pub thing: Thing,
    /// What becomes of it.
    #[serde(flatten)]
    pub fate: Fate,
}

impl Decision {
    /// It goes, or went.
    pub fn goes(&self) -> bool {
        matches!(self.fate, Fate::Free(_))
    }
}

/// Decides about all things. The order in which they come does not matter; dumps come out before kernels.
pub(super) fn plan(mut things: Vec<Thing>, policy: &Policy, now: SystemTime) -> Vec<Decision> {
    things.sort_by(|a, b| (a.kind, a.used, &a.path).cmp(&(b.kind, b.used, &b.path)));
    let of = |kinds: &[Kind]| -> Vec<Thing> {
        let mut some: Vec<Thing> = (things.iter().filter(|t| kinds.contains(&t.kind)))
            .cloned()
            .collect();
        some.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        some
    };
    let mut done: Vec<Decision> = (of(&[Kind::Leftover]).into_iter())
        .map(|thing| decide(thing, |_| Some("left by a lab that was killed".into())))
        .collect();
    let age = Age {
        now,
        keep: policy.keep,
    };
    let dumps = shrink(of(&[Kind::Dump]), policy.dump_bytes, &age);
    let gone: BTreeSet<PathBuf> = freed(&dumps);
    done.extend(dumps);
    let mut cached = of(&[Kind::Kernel, Kind::Slot, Kind::Image]);
    for kernel in &mut cached {
        let needed = kernel.dumps.iter().find(|dump| !gone.contains(*dump));
        let why = needed.map(|dump| format!("{} was made of it", dump.display()));
        kernel.held = kernel.held.take().or(why);
    }
    let cached = shrink(cached, policy.cache_bytes, &age);
    let left: BTreeSet<PathBuf> = (cached.iter().filter(|d| !d.goes()))
        .map(|d| d.thing.path.clone())
        .collect();
    done.extend(cached);
    done.extend(of(&[Kind::Control]).into_iter().map(|control| {
        let orphan = !control.of.iter().any(|kernel| left.contains(kernel));
        decide(control, |t| age.old(t).filter(|_| orphan))
    }));
    done
}

fn freed(decisions: &[Decision]) -> BTreeSet<PathBuf> {
    let gone = decisions.iter().filter(|d| d.goes());
    gone.map(|d| d.thing.path.clone()).collect()
}

struct Age {
    now: SystemTime,
    keep: Duration,
}

impl Age {
    /// A time to come is no age: clocks are set back.
    fn of(&self, thing: &Thing) -> Duration {
        self.now.duration_since(thing.used).unwrap_or_default()
    }

    fn old(&self, thing: &Thing) -> Option<String> {
        let age = self.of(thing);
        let days = age.as_secs() / (24 * 3600);
        (age > self.keep).then(|| format!("not used for {days} days"))
    }

    fn late(&self, thing: &Thing) -> bool {
        self.of(thing) < LATELY
    }
}

/// Frees what is old, and then what was not used for the longest time while there is more than `most`. The things come
/// in the order of their last use.
fn shrink(things: Vec<Thing>, most: u64, age: &Age) -> Vec<Decision> {
    let mut total: u64 = things.iter().map(|thing| thing.bytes).sum();
    let by_size = format!(
        "not used for the longest time, and there is more than {}",
        super::text::size(most)
    );
    let decide = |thing: Thing| {
        let over = total > most;
        let decision = decide(thing, |thing| match age.late(thing) {
            true => None,
            false => age.old(thing).or_else(|| over.then(|| by_size.clone())),
        });
        if decision.goes() {
            total -= decision.thing.bytes;
        }
        decision
    };
    things.into_iter().map(decide).collect()
}

fn decide(thing: Thing, why: impl FnOnce(&Thing) -> Option<String>) -> Decision {
    let fate = match (&thing.held, why(&thing)) {
        (Some(held), _) => Fate::Held(held.clone()),
        (None, Some(why)) => Fate::Free(why),
        (None, None) => Fate::Stay,
    };
    Decision { thing, fate }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 24 * 3600;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1000 * DAY)
    }

    fn thing(kind: Kind, name: usize, bytes: u64, hours: u64, held: bool, of: &[usize]) -> Thing {
        let at = |kind: Kind, n: usize| PathBuf::from(format!("/{kind:?}/{n}"));
        let others = |wanted: Kind, other: Kind| match kind == wanted {
            true => of.iter().map(|n| at(other, *n)).collect(),
            false => Vec::new(),
        };
        Thing {
            kind,
            path: at(kind, name),
            bytes,
            used: now() - Duration::from_secs(hours * 3600),
            held: held.then(|| "held".to_owned()),
            dumps: others(Kind::Kernel, Kind::Dump),
            of: others(Kind::Control, Kind::Kernel),
        }
    }

    const KINDS: [Kind; 6] = [
        Kind::Leftover,
        Kind::Dump,
        Kind::Kernel,
        Kind::Slot,
        Kind::Image,
        Kind::Control,
    ];

    fn things() -> impl Strategy<Value = Vec<Thing>> {
        let one = (
            prop::sample::select(&KINDS[..]),
            0..500u64,
            0..60 * 24u64,
            prop::bool::weighted(0.2),
            prop::collection::vec(0..12usize, 0..3),
        );
        prop::collection::vec(one, 0..40).prop_map(|all| {
            let numbered = all.into_iter().enumerate();
            let made = numbered
                .map(|(n, (kind, bytes, hours, held, of))| thing(kind, n, bytes, hours, held, &of));
            made.collect()
        })
    }

    fn policy() -> impl Strategy<Value = Policy> {
        (0..40u64, 0..4000u64, 0..4000u64).prop_map(|(days, cache_bytes, dump_bytes)| Policy {
            keep: Duration::from_secs(days * DAY),
            cache_bytes,
            dump_bytes,
        })
    }

    fn sum(decisions: &[Decision], kinds: &[Kind], wanted: impl Fn(&Decision) -> bool) -> u64 {
        let some = decisions
            .iter()
            .filter(|d| kinds.contains(&d.thing.kind) && wanted(d));
        some.map(|d| d.thing.bytes).sum()
    }

    proptest! {
        #[test]
        fn what_is_held_or_needed_stays(things in things(), policy in policy()) {
            // Dumps that are no things of this plan (of another results folder) exist, too.
            let decisions = plan(things.clone(), &policy, now());
            prop_assert_eq!(decisions.len(), things.len());
            let gone = freed(&decisions);
            for decision in decisions.iter().filter(|d| d.goes()) {
                let thing = things.iter().find(|t| t.path == decision.thing.path).unwrap();
                prop_assert!(thing.held.is_none());
                prop_assert!(thing.dumps.iter().all(|dump| gone.contains(dump)), "{:?}", thing);
            }
        }

        #[test]
        fn the_order_does_not_matter(things in things().prop_shuffle(), policy in policy()) {
            let one = plan(things.clone(), &policy, now());
            let mut turned = things;
            turned.reverse();
            prop_assert_eq!(one, plan(turned, &policy, now()));
        }

        #[test]
        fn what_may_go_goes_until_there_is_room(things in things(), policy in policy()) {
            let decisions = plan(things, &policy, now());
            let age = Age { now: now(), keep: policy.keep };
            let free = |d: &Decision| matches!(d.fate, Fate::Stay) && !age.late(&d.thing);
            let cached = [Kind::Kernel, Kind::Slot, Kind::Image];
            for (kinds, most) in [(&cached[..], policy.cache_bytes), (&[Kind::Dump][..], policy.dump_bytes)] {
                let left = sum(&decisions, kinds, |d| !d.goes());
                let could_go = sum(&decisions, kinds, free);
                prop_assert!(left <= most || could_go == 0, "{} of {} left, {} could go", left, most, could_go);
                let oldest_left = decisions.iter().filter(|d| kinds.contains(&d.thing.kind) && free(d)).map(|d| d.thing.used).min();
                for gone in decisions.iter().filter(|d| kinds.contains(&d.thing.kind) && d.goes()) {
                    prop_assert!(oldest_left.is_none_or(|oldest| gone.thing.used <= oldest));
                }
            }
        }

        #[test]
        fn a_second_time_frees_nothing(things in things(), policy in policy()) {
            let decisions = plan(things, &policy, now());
            let gone = freed(&decisions);
            let mut left: Vec<Thing> = decisions.into_iter().filter(|d| !d.goes()).map(|d| d.thing).collect();
            for kernel in &mut left {
                kernel.dumps.retain(|dump| !gone.contains(dump));
            }
            prop_assert!(plan(left, &policy, now()).iter().all(|d| !d.goes()));
        }
    }

    #[test]
    fn a_kernel_goes_with_the_last_dump_of_it() {
        let policy = Policy {
            keep: Duration::from_secs(30 * DAY),
            cache_bytes: 1000,
            dump_bytes: 1000,
        };
        let kernel = thing(Kind::Kernel, 0, 10, 40 * 24, false, &[1, 2]);
        let old = thing(Kind::Dump, 1, 10, 50 * 24, false, &[]);
        let young = thing(Kind::Dump, 2, 10, 20 * 24, false, &[]);
        let decisions = plan(vec![kernel.clone(), young, old.clone()], &policy, now());
        let held = "/Dump/2 was made of it".to_owned();
        assert_eq!(decisions[2].fate, Fate::Held(held));
        let mut kernel = kernel;
        kernel.dumps.truncate(1);
        assert!(
            plan(vec![kernel, old], &policy, now())
                .iter()
                .all(Decision::goes)
        );
    }

    #[test]
    fn what_is_just_built_stays_even_where_there_is_no_room() {
        let policy = Policy {
            keep: Duration::ZERO,
            cache_bytes: 0,
            dump_bytes: 0,
        };
        let new = thing(Kind::Kernel, 0, 10, 0, false, &[]);
        let old = thing(Kind::Kernel, 1, 10, 2, false, &[]);
        let decisions = plan(vec![new, old], &policy, now());
        let goes: Vec<bool> = decisions.iter().map(Decision::goes).collect();
        assert_eq!(goes, [true, false]);
    }
}
