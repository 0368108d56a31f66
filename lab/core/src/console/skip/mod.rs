// SPDX-License-Identifier: MIT OR Apache-2.0
//! Functions that carry a message and are not the bug: `name` exactly, `name*` by its beginning, `*name` by its end, `*name*`
//! anywhere, `be*in*` by its beginning and something after it. The underscores of an inner helper (`__name`) do not count.

mod helpers;
mod reporting;
mod stalls;
mod waits;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::sync::LazyLock;

/// A list of functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names(usize);

/// Reporting, checking, locking, allocating and copying helpers.
pub(super) const MESSENGERS: Names = Names(0);
/// Schedulers and waits: a task that hangs is blamed on whom it waits in.
pub(super) const WAITS: Names = Names(1);
/// The scheduler's own part of a stack that waits.
pub(super) const SCHEDULER: Names = Names(2);
/// Waits for all readers of RCU: one name for all of them.
pub(super) const GRACE_PERIODS: Names = Names(3);
/// Waits that name themselves.
pub(super) const GATHERINGS: Names = Names(4);
/// The stall detector itself and the ticks it runs in.
pub(super) const STALL_DETECTORS: Names = Names(5);
/// Functions that dispatch to code that may loop.
pub(super) const DISPATCHERS: Names = Names(6);
/// Interrupt entries.
pub(super) const INTERRUPTS: Names = Names(7);
/// Where a stack begins.
pub(super) const ENTRIES: Names = Names(8);

/// What each of [`Names`] stands for, by its number.
const LISTS: [&[&[&str]]; 9] = [
    &[reporting::REPORTING, helpers::HELPERS],
    &[waits::WAITS],
    &[waits::SCHEDULER],
    &[waits::GRACE_PERIODS],
    &[waits::GATHERINGS],
    &[stalls::STALL_DETECTORS],
    &[stalls::DISPATCHERS],
    &[stalls::INTERRUPTS],
    &[stalls::ENTRIES],
];

/// The lists made ready for search, once.
static SEARCHES: LazyLock<Vec<Option<Search>>> =
    LazyLock::new(|| LISTS.iter().map(|lists| Search::new(lists)).collect());

/// Where in a function's name a pattern's words must stand.
#[derive(Debug, Clone, Copy)]
enum Place {
    Whole,
    Begin,
    End,
    Anywhere,
    /// At the beginning, with these words behind them.
    Before(&'static str),
}

/// All patterns of a list in one automaton: a name is looked at once, however long the list.
struct Search {
    places: Vec<Place>,
    words: AhoCorasick,
}

impl Search {
    fn new(lists: &[&[&'static str]]) -> Option<Self> {
        let (places, words): (Vec<Place>, Vec<&str>) = lists
            .iter()
            .flat_map(|list| list.iter())
            .map(|pattern| place(pattern))
            .unzip();
        let words = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(words)
            .ok()?;
        Some(Self { places, words })
    }

    fn names(&self, func: &str) -> bool {
        let outer = func.len() - func.trim_start_matches('_').len();
        self.words.find_overlapping_iter(func).any(|found| {
            let begins = found.start() == 0 || found.start() == outer;
            let ends = found.end() == func.len();
            match self.places[found.pattern().as_usize()] {
                Place::Whole => begins && ends,
                Place::Begin => begins,
                Place::End => ends,
                Place::Anywhere => true,
                Place::Before(words) => begins && func[found.end()..].contains(words),
            }
        })
    }
}

/// A pattern taken apart.
fn place(pattern: &'static str) -> (Place, &'static str) {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), Some(_)) => (Place::Anywhere, rest.trim_end_matches('*')),
        (Some(end), None) => (Place::End, end),
        (None, Some(begin)) => match begin.split_once('*') {
            Some((begin, inside)) => (Place::Before(inside), begin),
            None => (Place::Begin, begin),
        },
        (None, None) => (Place::Whole, pattern),
    }
}

/// Whether one of `lists` names `func`, with or without the underscores of an inner helper.
pub(super) fn named(func: &str, lists: &[Names]) -> bool {
    lists
        .iter()
        .filter_map(|list| SEARCHES.get(list.0)?.as_ref())
        .any(|search| search.names(func))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_where_they_say() {
        for (func, lists, wanted) in [
            ("kfree", &[MESSENGERS][..], true),
            ("__kfree", &[MESSENGERS], true),
            ("kfree_all_my_things", &[MESSENGERS], false),
            ("kmem_cache_alloc_lru_noprof", &[MESSENGERS], true),
            ("__kasan_check_read", &[MESSENGERS], true),
            ("test_and_set_bit", &[MESSENGERS], true),
            ("d_alloc_parallel", &[MESSENGERS, WAITS], false),
            ("d_wait_lookup", &[MESSENGERS], false),
            ("d_wait_lookup", &[MESSENGERS, WAITS], true),
            ("rtnl_lock", &[GATHERINGS], true),
            ("", &[MESSENGERS, WAITS], false),
            ("_", &[MESSENGERS, WAITS], false),
        ] {
            assert_eq!(named(func, lists), wanted, "{func} {lists:?}");
        }
    }

    #[test]
    fn no_pattern_is_written_twice_and_all_are_searched() {
        for (number, lists) in LISTS.iter().enumerate() {
            let mut all: Vec<&str> = lists.iter().flat_map(|list| list.iter().copied()).collect();
            let len = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), len, "list {number}");
            assert!(SEARCHES[number].is_some(), "list {number}");
        }
    }
}
