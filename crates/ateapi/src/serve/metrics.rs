//! What is counted, and the page that shows it. Labels come from closed sets, so that no caller can make
//! the page grow.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use observe::exposition::{Bucket, Exposition, Kind};
use tonic::Code;

use crate::listing::Counters;
use crate::service::Counts;

/// The calls of `Control`; what else is called is the last one.
pub const METHODS: [&str; 15] = [
    "GetActor",
    "CreateActor",
    "UpdateActor",
    "SuspendActor",
    "PauseActor",
    "ResumeActor",
    "DeleteActor",
    "ListWorkers",
    "ListActors",
    "CreateAtespace",
    "GetAtespace",
    "ListAtespaces",
    "DeleteAtespace",
    "DebugClear",
    "other",
];

const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a code.
pub fn code_name(code: Code) -> &'static str {
    CODES.get(code as usize).copied().unwrap_or("UNKNOWN")
}

/// Which of [`METHODS`] a path names.
pub fn method_of(path: &str) -> usize {
    let name = path.rsplit('/').next().unwrap_or_default();
    METHODS.iter().position(|method| *method == name).unwrap_or(METHODS.len() - 1)
}

/// What is asked of the store.
pub const OPERATIONS: [&str; 8] = ["get", "create", "replace", "delete", "topology", "shard", "scan", "mget"];

/// How it may fail.
pub const FAILURES: [&str; 6] = ["unavailable", "deadline", "unknown", "stale", "refused", "too_large"];

/// Upper ends of the buckets of times, in microseconds: from a round trip on one machine to a deadline.
const BUCKETS_US: [u64; 14] = [
    250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 250_000, 1_000_000, 4_000_000, 16_000_000,
    60_000_000,
];

#[derive(Debug, Default)]
pub struct Times {
    buckets: [AtomicU64; BUCKETS_US.len()],
    sum_us: AtomicU64,
    count: AtomicU64,
}

impl Times {
    pub fn add(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BUCKETS_US.iter().position(|upto| us <= *upto);
        if let Some(bucket) = at.and_then(|at| self.buckets.get(at)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_us.fetch_add(us, Relaxed);
        self.count.fetch_add(1, Relaxed);
    }

    fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let mut count = 0;
        BUCKETS_US.iter().zip(&self.buckets).map(move |(upto, bucket)| {
            count += bucket.load(Relaxed);
            Bucket { upto: *upto as f64 / 1e6, count }
        })
    }

    fn sum_s(&self) -> f64 {
        self.sum_us.load(Relaxed) as f64 / 1e6
    }
}

#[derive(Debug, Default)]
struct Method {
    by_code: [AtomicU64; CODES.len()],
    times: Times,
}

#[derive(Debug, Default)]
struct Operation {
    times: Times,
    by_failure: [AtomicU64; FAILURES.len()],
}

/// What a server counts.
#[derive(Debug, Default)]
pub struct Metrics {
    methods: [Method; METHODS.len()],
    operations: [Operation; OPERATIONS.len()],
    pub in_flight: AtomicU64,
    pub connections: AtomicU64,
    pub connections_total: AtomicU64,
    pub connections_refused: AtomicU64,
    pub handshakes_failed: AtomicU64,
    pub spans_sent: AtomicU64,
    pub spans_dropped: AtomicU64,
}

impl Metrics {
    pub fn called(&self, method: usize, code: Code, took: Duration) {
        let Some(method) = self.methods.get(method) else { return };
        method.times.add(took);
        if let Some(count) = method.by_code.get(code as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub fn asked(&self, operation: usize, failure: Option<usize>, took: Duration) {
        let Some(operation) = self.operations.get(operation) else { return };
        operation.times.add(took);
        if let Some(count) = failure.and_then(|at| operation.by_failure.get(at)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// All calls that have come to their end.
    pub fn calls(&self) -> u64 {
        self.methods.iter().map(|method| method.times.count()).sum()
    }

    /// Writes everything down.
    pub fn show(&self, page: &mut Exposition, counts: &Counts, listing: &Counters) {
        self.show_calls(page);
        self.show_store(page, counts.store_retries);
        show_listing(page, listing);
        let mut single = |name, kind, help, value: u64| page.single(name, kind, help, value as f64);
        let (gauge, counter) = (Kind::Gauge, Kind::Counter);
        let value = |of: &AtomicU64| of.load(Relaxed);
        single("ateapi_calls_in_flight", gauge, "Calls that are going on.", value(&self.in_flight));
        single("ateapi_connections", gauge, "Connections that are open.", value(&self.connections));
        single(
            "ateapi_connections_total",
            counter,
            "Connections that were accepted.",
            value(&self.connections_total),
        );
        single(
            "ateapi_connections_refused_total",
            counter,
            "Connections that were closed at once: their peer had as many as it may have.",
            value(&self.connections_refused),
        );
        single(
            "ateapi_handshakes_failed_total",
            counter,
            "Connections that did not come to the end of their TLS handshake.",
            value(&self.handshakes_failed),
        );
        single(
            "ateapi_lost_races_total",
            counter,
            "Changes that began anew because another had come before them.",
            counts.lost_races,
        );
        single(
            "ateapi_repeated_writes_total",
            counter,
            "Writes that were sent again because their outcome was not known.",
            counts.repeated_writes,
        );
        single(
            "ateapi_unusable_records_total",
            counter,
            "Records that were met and could not be used.",
            counts.unusable_records,
        );
        single(
            "ateapi_worker_walks_total",
            counter,
            "Walks over the store in search of a free worker.",
            counts.worker_walks,
        );
        single("ateapi_workers_known", gauge, "Workers that are remembered.", counts.workers_known);
        single(
            "ateapi_workers_seemingly_free",
            gauge,
            "Remembered workers that were free when they were seen last.",
            counts.workers_seemingly_free,
        );
        single("ateapi_spans_sent_total", counter, "Spans that a collector took.", value(&self.spans_sent));
        single(
            "ateapi_spans_dropped_total",
            counter,
            "Spans that no collector took in time.",
            value(&self.spans_dropped),
        );
    }

    fn show_calls(&self, page: &mut Exposition) {
        let mut metric = page.metric("ateapi_calls_total", Kind::Counter, "Calls by how they ended.");
        for (name, method) in METHODS.iter().zip(&self.methods) {
            for (code, count) in CODES.iter().zip(&method.by_code) {
                let count = count.load(Relaxed);
                if count > 0 {
                    metric.sample(&[("method", name), ("code", code)], count as f64);
                }
            }
        }
        let mut metric = page.metric("ateapi_call_seconds", Kind::Histogram, "How long calls took.");
        for (name, method) in METHODS.iter().zip(&self.methods) {
            let times = &method.times;
            if times.count() > 0 {
                metric.histogram(&[("method", name)], times.buckets(), times.sum_s(), times.count());
            }
        }
    }

    fn show_store(&self, page: &mut Exposition, retries: u64) {
        let help = "How long the store took, including what its client waits for and sends again.";
        let mut metric = page.metric("ateapi_store_call_seconds", Kind::Histogram, help);
        for (name, operation) in OPERATIONS.iter().zip(&self.operations) {
            let times = &operation.times;
            metric.histogram(&[("operation", name)], times.buckets(), times.sum_s(), times.count());
        }
        let help = "What the store did not do, and why.";
        let mut metric = page.metric("ateapi_store_errors_total", Kind::Counter, help);
        for (name, operation) in OPERATIONS.iter().zip(&self.operations) {
            for (kind, count) in FAILURES.iter().zip(&operation.by_failure) {
                let count = count.load(Relaxed);
                if count > 0 {
                    metric.sample(&[("operation", name), ("kind", kind)], count as f64);
                }
            }
        }
        let help = "What the store's client has sent again: after a redirect, a break, or 'not now'.";
        page.single("ateapi_store_retries_total", Kind::Counter, help, retries as f64);
    }
}

/// What listings have cost, and what they have met.
fn show_listing(page: &mut Exposition, listing: &Counters) {
    let mut count = |name, help, count: &AtomicU64| {
        page.single(name, Kind::Counter, help, count.load(Relaxed) as f64);
    };
    count("ateapi_listing_pages_total", "Pages of actors that were returned.", &listing.pages);
    count("ateapi_listing_empty_pages_total", "Those of them that were empty.", &listing.empty_pages);
    count("ateapi_listing_actors_total", "Actors that were returned in pages.", &listing.records);
    count("ateapi_listing_scans_total", "Steps of scans that listings made.", &listing.scans);
    count("ateapi_listing_batches_total", "Batches of values that listings fetched.", &listing.batches);
    count("ateapi_listing_looks_total", "Times that a listing asked a shard who it is.", &listing.looks);
    count("ateapi_listing_keys_total", "Keys that the scans of listings gave.", &listing.keys);
    let dropped = "Those of them that had come before, or that are another shard's.";
    count("ateapi_listing_dropped_keys_total", dropped, &listing.dropped);
    let unparsable = "Records that listings met, could not understand, and left out.";
    count("ateapi_listing_unparsable_total", unparsable, &listing.unparsable);
    let vanished = "Records that were gone when a listing wanted to read them.";
    count("ateapi_listing_vanished_total", vanished, &listing.vanished);
    let restarts = "Walks through a shard that began anew, because it was restarted or replaced.";
    count("ateapi_listing_restarts_total", restarts, &listing.restarts);
    let disturbances = "Times that a page went back or elsewhere, because slots had moved.";
    count("ateapi_listing_disturbances_total", disturbances, &listing.disturbances);
    let refused = "Page tokens that were refused.";
    count("ateapi_listing_refused_tokens_total", refused, &listing.refused_tokens);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_method_and_code() {
        let metrics = Metrics::default();
        metrics.called(method_of("/ateapi.Control/GetActor"), Code::NotFound, Duration::from_millis(3));
        metrics.called(method_of("/ateapi.Control/Nonsense"), Code::Unimplemented, Duration::ZERO);
        metrics.asked(0, Some(1), Duration::from_secs(100));
        let mut page = Exposition::default();
        metrics.show(&mut page, &Counts::default(), &Counters::default());
        let text = page.finish();
        for line in [
            r#"ateapi_calls_total{method="GetActor",code="NOT_FOUND"} 1"#,
            r#"ateapi_calls_total{method="other",code="UNIMPLEMENTED"} 1"#,
            r#"ateapi_call_seconds_bucket{method="GetActor",le="0.002"} 0"#,
            r#"ateapi_call_seconds_bucket{method="GetActor",le="0.004"} 1"#,
            r#"ateapi_store_call_seconds_bucket{operation="get",le="60"} 0"#,
            r#"ateapi_store_call_seconds_count{operation="get"} 1"#,
            r#"ateapi_store_errors_total{operation="get",kind="deadline"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(metrics.calls(), 2);
    }

    #[test]
    fn the_grafana_dashboard_asks_for_metrics_that_there_are() {
        let mut page = Exposition::default();
        Metrics::default().show(&mut page, &Counts::default(), &Counters::default());
        let page = page.finish();
        let dashboard = include_str!("../../../../docs/grafana.json");
        let words = dashboard.split(|c: char| c != '_' && !c.is_ascii_lowercase());
        let names: Vec<&str> = words.filter(|word| word.starts_with("ateapi_")).collect();
        assert!(names.len() > 8, "{names:?}");
        for name in names {
            let name = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(page.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }

    #[test]
    fn every_code_has_its_name() {
        assert_eq!((code_name(Code::Ok), code_name(Code::Unauthenticated)), ("OK", "UNAUTHENTICATED"));
        assert_eq!(code_name(Code::FailedPrecondition), "FAILED_PRECONDITION");
    }

    #[test]
    fn every_method_of_the_service_is_known() {
        use prost::Message;
        let set = prost_types::FileDescriptorSet::decode(crate::proto::FILE_DESCRIPTOR_SET).unwrap();
        let methods = set.file.iter().flat_map(|file| &file.service).flat_map(|service| &service.method);
        let mut known: Vec<&str> = methods.map(|method| method.name()).collect();
        known.push("other");
        known.sort_unstable();
        let mut ours = METHODS;
        ours.sort_unstable();
        assert_eq!(known, ours);
    }
}
