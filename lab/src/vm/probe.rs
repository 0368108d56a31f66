// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether KVM really runs a guest here: tried by a boot, not by looking at /dev/kvm.
//!
//! A device that opens, and even makes a virtual machine, may still not run one (nested, without the host's help), or run it
//! by emulating instruction after instruction, a thousand times slower than QEMU's translator. So a boot sector is started
//! that goes through the firmware into protected mode, counts for a while, and tells QEMU to exit with a number; KVM is
//! only used if it gets there, and before the translator does.

use super::channel::in_memory;
use super::qemu::Qemu;
use crate::error::{Doing, Result};
use crate::stop::{Level, Stop};
use lab_core::job::Accel;
use serde::{Deserialize, Serialize};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Format of the remembered probe.
const PROBE_FORMAT: u32 = 2;
/// A guest that runs under KVM needs well under a second, a translated one on a busy host a few.
const LIMIT: Duration = Duration::from_secs(5);
/// What the boot sector says.
const WORD: u8 = 0x2a;
/// What isa-debug-exit makes of it: twice the number, and one.
const EXIT: i32 = WORD as i32 * 2 + 1;

/// Rounds of the boot sector's loop: a fraction of a second for QEMU's translator, hours for a KVM that emulates.
const ROUNDS: u32 = 20_000_000;

/// The code of the boot sector, at 0x7c00, before and after the number of rounds.
#[rustfmt::skip]
const CODE: ([u8; 30], [u8; 34], [u8; 32]) = ([
    0xfa,                               // 00  cli
    0x31, 0xc0,                         // 01  xor  ax, ax
    0x8e, 0xd8,                         // 03  mov  ds, ax
    0x0f, 0x01, 0x16, 0x40, 0x7c,       // 05  lgdt [0x7c40]
    0x0f, 0x20, 0xc0,                   // 0a  mov  eax, cr0
    0x0c, 0x01,                         // 0d  or   al, 1
    0x0f, 0x22, 0xc0,                   // 0f  mov  cr0, eax
    0xea, 0x17, 0x7c, 0x08, 0x00,       // 12  jmp  0x08:0x7c17
    0x66, 0xb8, 0x10, 0x00,             // 17  mov  ax, 0x10     (32 bits from here)
    0x8e, 0xd8,                         // 1b  mov  ds, ax
    0xb9,                               // 1d  mov  ecx, ROUNDS
], [
    0xff, 0x05, 0x00, 0x80, 0x00, 0x00, // 22  inc  dword [0x8000]
    0x49,                               // 28  dec  ecx
    0x75, 0xf7,                         // 29  jnz  0x22
    0xb0, WORD,                         // 2b  mov  al, WORD
    0xe6, 0xf4,                         // 2d  out  0xf4, al
    0xf4,                               // 2f  hlt
    0xeb, 0xfd,                         // 30  jmp  0x2f
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0x1f, 0x00, 0x48, 0x7c,             // 40  table: 32 bytes at 0x7c48
], [
    0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0,             // 48  no segment
    0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0, // 50  code: base 0, 4 GiB, 32 bits
    0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0, // 58  data: base 0, 4 GiB
    0, 0, 0, 0,
]);

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The accelerator to use.
    pub accel: Accel,
    /// Why, for people.
    pub reason: String,
    /// Seconds that the probe took.
    pub seconds: f64,
}

/// A probe as it is remembered: it holds for this boot of the host and this QEMU.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Remembered {
    format: u32,
    boot: String,
    qemu: String,
    probe: Probe,
}

/// Tries KVM, or remembers from `cache` how it went.
///
/// # Errors
/// When QEMU is missing or cannot be started, or the lab is stopped. KVM that does not work is no error.
pub async fn probe(cache: &Path, stop: Stop) -> Result<Probe> {
    let qemu = Qemu::find().await?;
    probe_with(&qemu, cache, stop).await
}

pub(super) async fn probe_with(qemu: &Qemu, cache: &Path, stop: Stop) -> Result<Probe> {
    let path = cache.join("kvm-probe.json");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let known = std::fs::read(&path).ok();
    let known = known.and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    if let Some(known) = known
        && (known.format, &known.boot, &known.qemu) == (PROBE_FORMAT, &boot, &qemu.version)
    {
        return Ok(known.probe);
    }
    let begun = Instant::now();
    let (accel, reason) = attempt(qemu, stop).await?;
    let probe = Probe {
        accel,
        reason,
        seconds: begun.elapsed().as_secs_f64(),
    };
    let remembered = Remembered {
        format: PROBE_FORMAT,
        boot,
        qemu: qemu.version.clone(),
        probe,
    };
    remember(&path, &remembered).doing(|| format!("remember the probe in {}", path.display()))?;
    Ok(remembered.probe)
}

/// Written aside and renamed, for two labs may probe at once.
fn remember(path: &Path, remembered: &Remembered) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, remembered)?;
    file.persist(path)?;
    Ok(())
}

async fn attempt(qemu: &Qemu, mut stop: Stop) -> Result<(Accel, String)> {
    if let Err(error) = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
    {
        return Ok((Accel::Tcg, format!("/dev/kvm does not open: {error}")));
    }
    tokio::select! {
        chosen = race(qemu) => chosen,
        () = stop.reached(Level::Orderly) => Err(crate::error::Error::interrupted()),
    }
}

/// The boot sector under KVM, and where it ran, under the translator, which KVM must beat.
pub(super) async fn race(qemu: &Qemu) -> Result<(Accel, String)> {
    let under_kvm = match try_boot(qemu, "kvm").await? {
        Ok(took) => took,
        Err(reason) => {
            let reason = format!("a probe guest did not run under KVM: {reason}");
            return Ok((Accel::Tcg, reason));
        }
    };
    Ok(match try_boot(qemu, "tcg").await? {
        Ok(translated) if translated < under_kvm => {
            let (kvm, tcg) = (under_kvm.as_secs_f64(), translated.as_secs_f64());
            let reason = format!("a probe guest took {kvm:.1} s under KVM, {tcg:.1} s translated");
            (Accel::Tcg, reason)
        }
        _ => (Accel::Kvm, "a probe guest ran under KVM".to_owned()),
    })
}

/// Starts the boot sector; gives how long it took, or why it did not run. When cancelled, QEMU is killed.
pub(super) async fn try_boot(
    qemu: &Qemu,
    accel: &str,
) -> Result<std::result::Result<Duration, String>> {
    let begun = Instant::now();
    let sector = in_memory("boot sector", &sector())?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let fd = sector.as_raw_fd();
    let mut process = qemu.start(&argv(accel, fd), &[fd], theirs.into())?;
    let stderr = tokio::net::UnixStream::from_std(ours)?;
    let complaint = complaint(stderr);
    tokio::pin!(complaint);
    let ended = tokio::time::timeout(LIMIT, async {
        tokio::select! {
            status = process.wait() => Some(status),
            () = &mut complaint => None,
        }
    })
    .await;
    process.kill();
    Ok(match ended {
        Ok(Some(Ok(status))) if status.code() == Some(EXIT) => Ok(begun.elapsed()),
        Ok(Some(Ok(status))) => Err(format!("QEMU ended with {status}")),
        Ok(Some(Err(error))) => Err(error.to_string()),
        Ok(None) => Err("QEMU says «KVM internal error»".to_owned()),
        Err(_) => Err(format!("no sign of it within {} s", LIMIT.as_secs())),
    })
}

/// Ends when QEMU complains of KVM: it pauses the guest then, and would wait for ever.
async fn complaint(stderr: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains("KVM internal error") {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// The boot sector that says [`WORD`]: QEMU with `isa-debug-exit` at 0xf4 then exits with [`EXIT`].
pub(crate) fn sector() -> [u8; 512] {
    let (head, tail, table) = CODE;
    let code = [&head[..], &ROUNDS.to_le_bytes(), &tail, &table].concat();
    let mut sector = [0; 512];
    sector[..code.len()].copy_from_slice(&code);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

fn argv(accel: &str, sector: i32) -> Vec<String> {
    let words = format!(
        "-nodefaults -no-user-config -display none -no-reboot -machine pc -accel {accel} -m 64M \
         -device isa-debug-exit,iobase=0xf4,iosize=1 \
         -drive if=ide,file=/proc/self/fd/{sector},format=raw,read-only=off"
    );
    words.split_whitespace().map(str::to_owned).collect()
}
