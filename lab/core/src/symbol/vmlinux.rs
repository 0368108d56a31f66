// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel's ELF file: who it is, and which source its instructions come from.

use super::spot::Spot;
use super::table::Table;
use addr2line::Context;
use gimli::{DwarfSections, EndianSlice, RunTimeEndian, SectionId};
use object::{CompressionFormat, Object, ObjectSection, ObjectSymbol};
use std::borrow::Cow;
use std::fmt;
use std::io::Read;

/// A function that takes zstd apart: compressed bytes and the size of what comes out; `None` if they are damaged.
pub type Expand = fn(&[u8], usize) -> Option<Vec<u8>>;

/// Largest debug section that is taken apart, bytes: a kernel with everything in it has less than half of that.
const LARGEST: u64 = 4 << 30;
/// Inlined functions within each other at most; a compiler stops far earlier.
const DEEPEST: usize = 64;

/// Why a file tells nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

/// An ELF file with symbols, and with debug information where the kernel was built so.
#[derive(Debug)]
pub struct Vmlinux<'d> {
    file: object::File<'d>,
    dwarf: DwarfSections<Cow<'d, [u8]>>,
}

impl<'d> Vmlinux<'d> {
    /// Takes a file's bytes apart as far as its sections. Compressed debug sections are expanded, `zstd` is asked for
    /// those in zstd; what cannot be expanded counts as absent.
    ///
    /// # Errors
    /// When it is no ELF file.
    pub fn parse(bytes: &'d [u8], zstd: Expand) -> Result<Self, Unreadable> {
        let file = object::File::parse(bytes)
            .map_err(|error| Unreadable(format!("it is no object file ({error})")))?;
        if !matches!(file, object::File::Elf32(_) | object::File::Elf64(_)) {
            return Err(Unreadable("it is no ELF file".to_owned()));
        }
        let dwarf = DwarfSections::load(|id| {
            Ok::<_, Unreadable>(section(&file, id, zstd).unwrap_or_default())
        })?;
        Ok(Self { file, dwarf })
    }

    /// GNU build id, hexadecimal.
    pub fn build_id(&self) -> Option<String> {
        let id = self.file.build_id().ok()??;
        Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The kernel's own `Linux version …` line, which is also the first that it prints.
    pub fn banner(&self) -> Option<String> {
        let symbol = self.file.symbol_by_name("linux_banner")?;
        let section = self.file.section_by_index(symbol.section_index()?).ok()?;
        let from = symbol.address().checked_sub(section.address())?;
        let bytes = section.data().ok()?.get(usize::try_from(from).ok()?..)?;
        let text = bytes.split(|byte| matches!(byte, 0 | b'\n')).next()?;
        let text = std::str::from_utf8(text.get(..text.len().min(1024))?).ok()?;
        text.starts_with("Linux version ").then(|| text.to_owned())
    }

    /// Indexes the symbols; debug information is read unit by unit when it is asked for.
    pub fn resolver(&self) -> Resolver<'_> {
        let endian = if self.file.is_little_endian() {
            RunTimeEndian::Little
        } else {
            RunTimeEndian::Big
        };
        let dwarf = self.dwarf.borrow(|data| EndianSlice::new(data, endian));
        let folder = build_folder(&dwarf);
        let mut resolver = Resolver {
            table: Table::read(&self.file),
            lines: Context::from_dwarf(dwarf).ok(),
            tree: None,
            folder,
        };
        resolver.tree = resolver.find_tree();
        resolver
    }
}

/// A debug section's bytes, expanded.
fn section<'d>(file: &object::File<'d>, id: SectionId, zstd: Expand) -> Option<Cow<'d, [u8]>> {
    let data = file.section_by_name(id.name())?.compressed_data().ok()?;
    let size = usize::try_from(data.uncompressed_size)
        .ok()
        .filter(|_| data.uncompressed_size <= LARGEST)?;
    match data.format {
        CompressionFormat::None => Some(Cow::Borrowed(data.data)),
        CompressionFormat::Zlib => {
            let mut expanded = Vec::new();
            let stream = flate2::read::ZlibDecoder::new(data.data);
            // What is damaged ends early; what came before is still good.
            let _ended = stream.take(size as u64).read_to_end(&mut expanded);
            Some(Cow::Owned(expanded))
        }
        CompressionFormat::Zstandard => zstd(data.data, size).map(Cow::Owned),
        _ => None,
    }
}

type Slice<'v> = EndianSlice<'v, RunTimeEndian>;

/// The folder in which the compiler ran, by the first unit that tells.
fn build_folder(dwarf: &gimli::Dwarf<Slice<'_>>) -> Option<String> {
    let header = dwarf.units().next().ok()??;
    let unit = dwarf.unit(header).ok()?;
    let folder = normal(&unit.comp_dir?.to_string_lossy());
    Some(folder)
}

/// One function of a place: the innermost inlined one comes first, the one that the symbol names last.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Frame {
    /// Its name without compiler suffixes.
    pub function: String,
    /// Source file, relative to the top of the tree.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Inlined into the next frame.
    pub inlined: bool,
}

/// What a place stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Frames, innermost first; never empty.
    pub frames: Vec<Frame>,
    /// The function has the printed size here, too: it is this kernel's.
    pub fits: bool,
}

/// Answers for one [`Vmlinux`].
pub struct Resolver<'v> {
    table: Table<'v>,
    lines: Option<Context<Slice<'v>>>,
    /// Top of the tree as the compiler saw it.
    tree: Option<String>,
    /// Folder in which the compiler ran.
    folder: Option<String>,
}

impl fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("tree", &self.tree)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Resolver<'_> {
    /// What a spot stands for: the instruction at its address, or, unless `exact`, the call that returns there. `None`
    /// for a symbol that this kernel does not have, and for one of a module.
    pub fn resolve(&self, spot: &Spot, exact: bool) -> Option<Resolved> {
        if spot.module.is_some() || (spot.size > 0 && spot.offset > spot.size) {
            return None;
        }
        let found = self.table.find(&spot.symbol, spot.size)?;
        let back = u64::from(!exact && spot.offset > 0);
        let address = found.address.checked_add(spot.offset)?.checked_sub(back)?;
        let mut frames = self.frames(address);
        let function = plain(&spot.symbol).to_owned();
        match frames.last_mut() {
            // The symbol's own name is the one that people know; debug information may have another (aliases).
            Some(last) => last.function = function,
            None => frames.push(Frame {
                function,
                file: None,
                line: None,
                inlined: false,
            }),
        }
        Some(Resolved {
            frames,
            fits: found.fits,
        })
    }

    /// The frames at an address; empty where there is no debug information.
    fn frames(&self, address: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        let Some(lines) = &self.lines else {
            return frames;
        };
        let Ok(mut found) = lines.find_frames(address).skip_all_loads() else {
            return frames;
        };
        while let Ok(Some(frame)) = found.next() {
            let name = frame
                .function
                .as_ref()
                .and_then(|name| Some(name.raw_name().ok()?.into_owned()));
            let place = frame.location.as_ref();
            frames.push(Frame {
                function: name.unwrap_or_else(|| "?".to_owned()),
                file: place.and_then(|l| l.file).map(|file| self.relative(file)),
                line: place.and_then(|l| l.line).filter(|line| *line > 0),
                inlined: true,
            });
            if frames.len() == DEEPEST {
                break;
            }
        }
        if let Some(last) = frames.last_mut() {
            last.inlined = false;
        }
        frames
    }

    /// The top of the tree, by a file that every kernel has there, as scripts/decode_stacktrace.sh finds it.
    fn find_tree(&self) -> Option<String> {
        const ANCHOR: &str = "/init/main.c";
        ["kernel_init", "start_kernel"].iter().find_map(|name| {
            let address = self.table.address(name)?;
            let place = self.lines.as_ref()?.find_location(address).ok()??;
            let file = normal(place.file?);
            Some(file.strip_suffix(ANCHOR)?.to_owned())
        })
    }

    /// A path as the compiler wrote it, relative to the tree, or to the build's folder for what the build made.
    fn relative(&self, file: &str) -> String {
        let file = normal(file);
        for top in [&self.tree, &self.folder].into_iter().flatten() {
            let inside = file
                .strip_prefix(top.as_str())
                .and_then(|rest| rest.strip_prefix('/'));
            if let Some(inside) = inside {
                return inside.to_owned();
            }
        }
        file
    }
}

/// Without `.isra.0`, `.constprop.1`, `.cold`.
fn plain(symbol: &str) -> &str {
    match symbol.find('.') {
        Some(dot) if dot > 0 => &symbol[..dot],
        _ => symbol,
    }
}

/// A path without `.`, `..` and doubled slashes, by its letters alone.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let top = if path.starts_with('/') { "/" } else { "" };
    format!("{top}{}", parts.join("/"))
}
