// SPDX-License-Identifier: MIT OR Apache-2.0
//! A release of the kernel from kernel.org, checked against the list of checksums beside it.

use super::attempt::text;
use super::checksum::find_checksum;
use super::download::{Download, Limits, Progress, download};
use crate::error::{Error, Result};
use crate::stop::Stop;
use std::path::Path;

/// Where releases are.
pub const KERNEL_ORG: &str = "https://cdn.kernel.org/pub/linux/kernel";

/// Downloads `linux-VERSION.tar.xz` from `site` ([`KERNEL_ORG`], or a mirror laid out like it) to `to`.
///
/// # Errors
/// No such release there, or the download fails as [`download`] does.
pub async fn kernel_tarball(
    site: &str,
    version: &str,
    to: &Path,
    stop: &Stop,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<()> {
    from_site(site, version, to, true, stop, progress).await
}

/// The same, past the proxies if `proxies` is false.
pub(super) async fn from_site(
    site: &str,
    version: &str,
    to: &Path,
    proxies: bool,
    stop: &Stop,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<()> {
    let major = version.split('.').next().unwrap_or_default();
    let folder = format!("{site}/v{major}.x");
    let name = format!("linux-{version}.tar.xz");
    let mut wanted = Download {
        url: format!("{folder}/sha256sums.asc"),
        to: to.to_owned(),
        sha256: String::new(),
        limits: Limits::default(),
        proxies,
    };
    let list = text(&wanted)
        .await
        .map_err(|error| error.doing(format!("read {}", wanted.url)))?;
    wanted.sha256 = find_checksum(&list, &name).ok_or_else(|| {
        Error::usage(format!("{} does not list {name}", wanted.url))
            .hint("name a version that was released, such as 6.12.1")
    })?;
    wanted.url = format!("{folder}/{name}");
    download(&wanted, stop, progress).await
}
