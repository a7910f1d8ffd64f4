//! The Prometheus text format: metrics with their help, samples with their labels.

use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page of metrics being written.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// One bucket of a histogram: how many were at most this. Counts add up from bucket to bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    pub upto: f64,
    pub count: u64,
}

impl Exposition {
    /// Begins a metric: its samples follow.
    pub fn metric(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Metric<'_> {
        debug_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Metric { text: &mut self.text, name }
    }

    /// A metric with one sample and no labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &'static str, value: f64) {
        self.metric(name, kind, help).sample(&[], value);
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// A metric whose samples are being written.
#[derive(Debug)]
pub struct Metric<'a> {
    text: &'a mut String,
    name: &'static str,
}

type Labels<'l> = &'l [(&'l str, &'l str)];

impl Metric<'_> {
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// A histogram. What is above the last bucket is in `count` only.
    pub fn histogram(
        &mut self,
        labels: Labels<'_>,
        buckets: impl Iterator<Item = Bucket>,
        sum: f64,
        count: u64,
    ) -> &mut Self {
        for bucket in buckets {
            self.line("_bucket", labels, Some(&number(bucket.upto)), bucket.count as f64);
        }
        self.line("_bucket", labels, Some("+Inf"), count as f64);
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, count as f64);
        self
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, upto: Option<&str>, value: f64) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let all = labels.iter().copied().chain(upto.map(|upto| ("le", upto)));
        let mut open = false;
        for (name, value) in all {
            self.text.push(if open { ',' } else { '{' });
            open = true;
            let _ = write!(self.text, "{name}=\"{}\"", escaped(value));
        }
        if open {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {}", number(value));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_prometheus_wants_it() {
        let mut page = Exposition::default();
        page.single("x_total", Kind::Counter, "All of x.", 3.0);
        page.metric("y", Kind::Gauge, "What y is.")
            .sample(&[("of", "a\"b\\c\nd")], 0.5)
            .sample(&[("of", "e"), ("in", "f")], f64::INFINITY);
        let expected = "# HELP x_total All of x.\n# TYPE x_total counter\nx_total 3\n\
                        # HELP y What y is.\n# TYPE y gauge\ny{of=\"a\\\"b\\\\c\\nd\"} 0.5\n\
                        y{of=\"e\",in=\"f\"} +Inf\n";
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn a_histogram_ends_with_everything() {
        let mut page = Exposition::default();
        let buckets = [Bucket { upto: 0.001, count: 2 }, Bucket { upto: 0.002, count: 5 }];
        page.metric("z_seconds", Kind::Histogram, "How long.").histogram(
            &[("group", "0")],
            buckets.into_iter(),
            0.25,
            7,
        );
        let expected = "# HELP z_seconds How long.\n# TYPE z_seconds histogram\n\
                        z_seconds_bucket{group=\"0\",le=\"0.001\"} 2\n\
                        z_seconds_bucket{group=\"0\",le=\"0.002\"} 5\n\
                        z_seconds_bucket{group=\"0\",le=\"+Inf\"} 7\n\
                        z_seconds_sum{group=\"0\"} 0.25\nz_seconds_count{group=\"0\"} 7\n";
        assert_eq!(page.finish(), expected);
    }
}
