// SPDX-License-Identifier: MIT OR Apache-2.0
//! The functions of a kernel by name. Names are not unique; the printed size tells which one was meant.

use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

/// A function.
#[derive(Debug, Clone, Copy)]
struct Entry<'d> {
    name: &'d str,
    address: u64,
    size: u64,
}

/// Functions in the order of their names and addresses.
#[derive(Debug, Default)]
pub(super) struct Table<'d> {
    entries: Vec<Entry<'d>>,
    /// Addresses of all of them, in order.
    addresses: Vec<u64>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) address: u64,
    /// Its size is the printed one.
    pub(super) fits: bool,
}

/// Padding behind a function that kallsyms counts to its size and ELF does not: at most an alignment and a prefix.
const PADDING: u64 = 96;

impl<'d> Table<'d> {
    /// The functions of an ELF file.
    pub(super) fn read(file: &object::File<'d>) -> Self {
        let code: Vec<bool> = {
            let mut code = Vec::new();
            for section in file.sections() {
                let index = section.index().0;
                if index >= code.len() {
                    // Section numbers of a sound file are dense; a damaged one must not make this large.
                    code.resize((index + 1).min(1 << 17), false);
                }
                if let Some(slot) = code.get_mut(index) {
                    *slot = section.kind() == SectionKind::Text;
                }
            }
            code
        };
        let in_code = |symbol: &object::Symbol<'d, '_>| {
            let section = symbol.section_index().map(|index| index.0);
            section.is_some_and(|index| code.get(index).copied().unwrap_or(false))
        };
        let mut entries: Vec<Entry<'d>> = file
            .symbols()
            .filter(|symbol| match symbol.kind() {
                SymbolKind::Text => true,
                SymbolKind::Unknown | SymbolKind::Label => in_code(symbol),
                _ => false,
            })
            .filter_map(|symbol| {
                let name = symbol.name().ok().filter(|name| !name.is_empty())?;
                Some(Entry {
                    name,
                    address: symbol.address(),
                    size: symbol.size(),
                })
            })
            .collect();
        entries.sort_unstable_by_key(|entry| (entry.name, entry.address));
        entries.dedup_by_key(|entry| (entry.name, entry.address));
        let mut addresses: Vec<u64> = entries.iter().map(|entry| entry.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self { entries, addresses }
    }

    /// The function that `name` stands for where its printed size is `size` (0: unknown). Of several the one whose size
    /// fits best, as scripts/faddr2line chooses; the first of equals.
    pub(super) fn find(&self, name: &str, size: u64) -> Option<Found> {
        let first = self.entries.partition_point(|entry| entry.name < name);
        let same = self.entries[first..]
            .iter()
            .take_while(|entry| entry.name == name);
        let best = same.min_by_key(|entry| (self.misfit(entry, size), entry.address))?;
        Some(Found {
            address: best.address,
            fits: self.misfit(best, size) == 0,
        })
    }

    /// The first function of that name.
    pub(super) fn address(&self, name: &str) -> Option<u64> {
        self.find(name, 0).map(|found| found.address)
    }

    /// By how much the printed size misses a function's. kallsyms counts up to the next symbol, ELF up to the last
    /// instruction.
    fn misfit(&self, entry: &Entry<'_>, size: u64) -> u64 {
        if size == 0 {
            return 0;
        }
        let next = self
            .addresses
            .partition_point(|address| *address <= entry.address);
        let gap = self
            .addresses
            .get(next)
            .map_or(entry.size, |next| next - entry.address);
        let padded = entry.size > 0 && (entry.size..entry.size + PADDING).contains(&size);
        if gap == size || (padded && size <= gap) {
            0
        } else {
            gap.abs_diff(size).min(entry.size.abs_diff(size)).max(1)
        }
    }
}
