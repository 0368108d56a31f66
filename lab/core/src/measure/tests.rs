// SPDX-License-Identifier: MIT OR Apache-2.0
//! Only what ran its whole time is compared.

use super::*;
use lab_wire::{PROTOCOL, Scenario};

fn job() -> GuestJob {
    let scenario = |name: &str| Scenario {
        name: name.into(),
        fs: "tmpfs".into(),
        threads: 1,
        names: 1,
        dirs: 1,
        seconds: 1,
        seed: 1,
        pause_us: 0,
        mix: BTreeMap::new(),
    };
    GuestJob {
        protocol: PROTOCOL,
        scenarios: vec![scenario("lookup-storm"), scenario("lockref")],
        sysctl: BTreeMap::new(),
        drain_seconds: 1,
        hold: false,
    }
}

fn boot(rate: f64, second: Ended) -> Vec<FromGuest> {
    let measure = |index, value| Event::Measure {
        index,
        name: "ops-per-second".into(),
        value,
        unit: "1/s".into(),
    };
    let latencies = Event::Latencies {
        index: 0,
        op: "open".into(),
        buckets: vec![(1_000, 98), (64_000, 2)],
    };
    let end = |index, how| Event::End {
        index,
        how,
        ops: 1,
        ran_ms: 1000,
    };
    let all = [
        measure(0, rate),
        latencies,
        end(0, Ended::Done),
        measure(1, 7.0),
        end(1, second),
    ];
    all.map(|event| FromGuest { t_ms: 1, event }).to_vec()
}

#[test]
fn whole_scenarios_are_compared_and_others_left_out() {
    let job = job();
    let base: Vec<_> = [100.0, 104.0, 102.0].map(|r| boot(r, Ended::Done)).to_vec();
    let series: Vec<_> = [51.0, 50.0, 52.0].map(|r| boot(r, Ended::Stopped)).to_vec();
    let of = |boots: &'static [Vec<FromGuest>], job: &'static GuestJob| {
        boots
            .iter()
            .map(|events| Boot { job, events })
            .collect::<Vec<_>>()
    };
    let (job, base, series) = (Box::leak(Box::new(job)), base.leak(), series.leak());
    let measures = gather("fast", &of(base, job), &of(series, job));
    assert_eq!(measures.samples[0].series, Vec::<f64>::new());
    assert_eq!(measures.samples[1].series, [51.0, 50.0, 52.0]);
    assert_eq!(
        measures.latencies[0].base,
        BTreeMap::from([(1_000, 294), (64_000, 6)])
    );
    insta::assert_snapshot!(text(&measures));
}

#[test]
fn percentiles_are_upper_bounds_of_their_buckets() {
    let buckets = BTreeMap::from([(8, 50), (16, 49), (1_000, 1)]);
    assert_eq!(percentile(&buckets, 0.5), Some(8));
    assert_eq!(percentile(&buckets, 0.99), Some(16));
    assert_eq!(percentile(&buckets, 1.0), Some(1_000));
    assert_eq!(percentile(&BTreeMap::new(), 0.5), None);
}
