// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration step: start, merge, `olddefconfig`, and the look at what became of each request.

use super::files::read_output;
use super::make::{Made, Maker};
use super::progress::{Meter, Phase};
use crate::error::{Error, Result};
use crate::store::file;
use lab_core::job::{ConfigOption, ConfigRequest};
use lab_core::kbuild::dotconfig::{DotConfig, merge};
use lab_core::kbuild::kconfig::Symbols;
use lab_core::profile::effective;
use std::fs;
use std::path::Path;

/// Largest `.config` and Kconfig file read.
const TEXT_MAX: u64 = 8 << 20;

/// What came of it.
pub(super) enum Configured {
    /// Every option is there but for those named, which may be lost.
    Good { lost: Vec<String> },
    /// These are lost and may not be.
    Lost(Vec<String>),
    /// make did not get through.
    Failed(Made),
}

/// Configures `out` for the source in `src`.
pub(super) async fn configure(
    maker: &mut Maker<'_>,
    request: &ConfigRequest,
    meter: &mut Meter<'_>,
) -> Result<Configured> {
    meter.phase(Phase::Configuring);
    let out = maker.place.out;
    let options = effective(request);
    let made = maker.make(&[&request.start], meter).await?;
    if !made.finished.end.success() {
        return Ok(Configured::Failed(made));
    }
    let started = dot_config(out)?;
    file::write(&out.join(".config"), merge(&started, &options).as_bytes())?;
    let made = maker.make(&["olddefconfig"], meter).await?;
    if !made.finished.end.success() {
        return Ok(Configured::Failed(made));
    }
    let config = DotConfig::parse(&dot_config(out)?);
    let missing: Vec<&ConfigOption> = options
        .into_iter()
        .filter(|option| !config.honours(option))
        .collect();
    if missing.is_empty() {
        return Ok(Configured::Good { lost: Vec::new() });
    }
    Ok(judge(&missing, &config, &symbols(maker.place.src)))
}

fn dot_config(out: &Path) -> Result<String> {
    read_output(out, ".config", TEXT_MAX)?
        .ok_or_else(|| Error::rig("make ended well but left no .config"))
}

/// Parts what may be lost from what may not, each told with its reason.
fn judge(missing: &[&ConfigOption], config: &DotConfig, symbols: &Symbols) -> Configured {
    let (mut lost, mut broken) = (Vec::new(), Vec::new());
    for option in missing {
        let ConfigOption {
            name,
            value,
            origin,
            ..
        } = option;
        let asked = format!("CONFIG_{name}={value} ({origin})");
        if !symbols.defines(name) {
            lost.push(format!("{asked}: this tree has no such symbol"));
            continue;
        }
        let came = config.get(name);
        let why = match symbols.explain(name, config) {
            why if why.is_empty() => String::new(),
            why => format!("; {why}"),
        };
        match option.optional {
            true => lost.push(format!(
                "{asked} came out as {came}, which the profile allows{why}"
            )),
            false => broken.push(format!("{asked} came out as {came}{why}")),
        }
    }
    match broken.is_empty() {
        true => Configured::Good { lost },
        false => Configured::Lost(broken),
    }
}

/// The symbols of a tree, those of other architectures left out.
fn symbols(src: &Path) -> Symbols {
    let mut symbols = Symbols::default();
    gather(src, Path::new(""), &mut symbols);
    symbols
}

fn gather(root: &Path, folder: &Path, symbols: &mut Symbols) {
    let entries = fs::read_dir(root.join(folder))
        .into_iter()
        .flatten()
        .flatten();
    for entry in entries {
        let path = folder.join(entry.file_name());
        // A link could lead out of the tree; Kconfig files are plain ones.
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let foreign = folder == Path::new("arch") && path != Path::new("arch/x86");
        if kind.is_dir() && !foreign {
            gather(root, &path, symbols);
        } else if kind.is_file() && entry.file_name().as_encoded_bytes().starts_with(b"Kconfig") {
            let small = entry
                .metadata()
                .is_ok_and(|metadata| metadata.len() <= TEXT_MAX);
            if let (true, Ok(bytes)) = (small, fs::read(root.join(&path))) {
                symbols.add(&String::from_utf8_lossy(&bytes));
            }
        }
    }
}
