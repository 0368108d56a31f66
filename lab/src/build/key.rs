// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel is known by: the tree, the configuration asked for, and the tools that make it.

use crate::error::{Error, Result};
use crate::process::{Spec, capture};
use crate::stop::Stop;
use lab_core::job::ConfigRequest;
use lab_core::profile::effective;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Part of every key: a change in how the lab builds makes other kernels.
const RECIPE: u32 = 1;

/// The host's tools, by what they say of themselves.
#[derive(Debug, Clone)]
pub(super) struct Toolchain {
    /// First line of the compiler's `--version`.
    pub(super) compiler: String,
    linker: String,
    make: String,
}

impl Toolchain {
    /// Asks the tools.
    pub(super) async fn probe(stop: &Stop) -> Result<Self> {
        let (compiler, linker, make) = tokio::join!(
            version("gcc", stop),
            version("ld", stop),
            version("make", stop)
        );
        Ok(Self {
            compiler: compiler?,
            linker: linker?,
            make: make?,
        })
    }
    fn value(&self) -> serde_json::Value {
        json!([self.compiler, self.linker, self.make])
    }
}

async fn version(tool: &str, stop: &Stop) -> Result<String> {
    let spec = Spec::new(tool).arg("--version");
    let output = capture(spec, Duration::from_secs(20), stop.clone()).await;
    if stop.level() > crate::stop::Level::Run {
        return Err(Error::interrupted());
    }
    let line = output.as_deref().and_then(|text| text.lines().next());
    line.map(str::to_owned).ok_or_else(|| {
        Error::rig(format!("`{tool} --version` does not run"))
            .hint("`lab doctor` names the packages that building a kernel needs")
    })
}

fn config(request: &ConfigRequest) -> serde_json::Value {
    let options: Vec<_> = effective(request)
        .into_iter()
        .map(|option| (&option.name, &option.value, option.optional))
        .collect();
    json!([request.start, options])
}

/// The key of a finished kernel: 40 hex digits. What breaks in the sandbox may build outside, so that counts too.
pub(super) fn kernel(
    tree: git2::Oid,
    request: &ConfigRequest,
    tools: &Toolchain,
    sandboxed: bool,
) -> String {
    let parts = json!([
        RECIPE,
        tree.to_string(),
        config(request),
        tools.value(),
        sandboxed
    ]);
    digest(&parts, 40)
}

/// The key of a configuration: names the work folder that makes its kernels, 12 hex digits.
pub(super) fn slot(request: &ConfigRequest, tools: &Toolchain, sandboxed: bool) -> String {
    digest(
        &json!([RECIPE, config(request), tools.value(), sandboxed]),
        12,
    )
}

fn digest(value: &serde_json::Value, digits: usize) -> String {
    let hash = Sha256::digest(value.to_string().as_bytes());
    let mut hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(digits);
    hex
}
