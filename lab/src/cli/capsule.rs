// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab capsule`.

use crate::capsule;
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::store;
use std::path::PathBuf;

/// Pack a run into an archive that any machine with QEMU can boot again.
///
/// It holds kernel, initramfs and disks, a plain shell script that boots them and says whether the finding came again,
/// the series, and what was recorded. The same run gives the same bytes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: SET/RUN, its folder, or its name in the newest set that has it.
    run: String,
    /// Where to write it: a name that ends in .tar.zst.
    #[arg(long, short, value_name = "FILE.tar.zst")]
    output: PathBuf,
    /// Put in the kernel with its debugging information, too.
    #[arg(long)]
    vmlinux: bool,
    /// Put in the dumps of the guest's memory, too.
    #[arg(long)]
    dump: bool,
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<String> {
    if !args.output.to_string_lossy().ends_with(".tar.zst") {
        let words = format!("a capsule is a .tar.zst, not {}", args.output.display());
        return Err(Error::usage(words).hint("`-o NAME.tar.zst`"));
    }
    let results = Settings::load()?.results_folder(args.results.as_deref())?;
    let run = store::find_run(&results, &args.run)?;
    let options = capsule::Options {
        vmlinux: args.vmlinux,
        dump: args.dump,
    };
    let bytes = capsule::write(&run, options, &args.output)?;
    let name = args.output.display();
    Ok(format!(
        "{name}: {:.1} MB\nto boot it: tar --zstd -xf {} && sh */run.sh",
        bytes as f64 / 1e6,
        capsule::quoted(&name.to_string())
    ))
}
