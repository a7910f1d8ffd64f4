//! What is told of the heavy pool: in INFO by class, on the page of metrics by command as well.

use command::Class;
use observe::{Exposition, Kind};

use super::Lines;
use crate::engine::heavy::schedule::{Load, Shares};
use crate::engine::heavy::{Counted, Spread};
use crate::engine::node::Node;
use crate::table::Entry;

pub(super) fn heavy(node: &Node, lines: &mut Lines) {
    let pool = &node.heavy;
    let (threads, (running, waiting)) = (pool.threads(), pool.load());
    let Shares { reserved, most } = Shares::of(threads);
    lines.add("heavy_threads", threads);
    lines.add("heavy_threads_reserved", reserved);
    lines.add("heavy_threads_of_one_class_max", most);
    lines.add("background_cpus", node.config.background_cpus);
    lines.add("heavy_queue", pool.queue_max());
    lines.add("heavy_timeout_ms", node.live.heavy_timeout_ms());
    lines.add("heavy_running", running);
    lines.add("heavy_waiting", waiting);
    lines.add("heavy_run_usec", pool.stats.total().ran.sum_us);
    for class in Class::ALL {
        let Load { running, waiting } = pool.load_of(class);
        let Counted { submitted, rejected, outgrown, timed_out, waited, ran } = pool.stats.of_class(class);
        lines.add(
            &format!("heavy_{}", class.name()),
            format_args!(
                "running={running},waiting={waiting},submitted={submitted},rejected={rejected},\
                 outgrown={outgrown},timed_out={timed_out},{},{}",
                spread("wait", &waited),
                spread("run", &ran),
            ),
        );
    }
}

fn spread(of: &str, spread: &Spread) -> String {
    let mean = spread.sum_us / spread.count().max(1);
    let within = spread.within_us(0.99).map_or_else(|| "inf".to_owned(), |us| us.to_string());
    format!("{of}_usec_avg={mean},{of}_usec_p99={within}")
}

pub(super) fn about_heavy(node: &Node, page: &mut Exposition) {
    use Kind::{Counter, Gauge, Histogram};
    let pool = &node.heavy;
    let mut metric = page.metric("bulkhead_heavy_jobs", Gauge, "Work of the heavy pool.");
    for class in Class::ALL {
        let load = pool.load_of(class);
        for (state, count) in [("running", load.running), ("waiting", load.waiting)] {
            metric.sample(&[("class", class.name()), ("state", state)], count as f64);
        }
    }
    page.single("bulkhead_heavy_threads", Gauge, "Threads of the heavy pool.", pool.threads() as f64);
    let commands: Vec<_> = pool.stats.commands().collect();
    let mut each = |name, help, value: fn(&Counted) -> u64| {
        let mut metric = page.metric(name, Counter, help);
        for (entry, counted) in &commands {
            metric.sample(&labels(entry), value(counted) as f64);
        }
    };
    each("bulkhead_outgrown_total", "Commands that are too much for a network thread.", |c| c.outgrown);
    each("bulkhead_heavy_submitted_total", "Commands that the heavy pool took on.", |c| c.submitted);
    each("bulkhead_heavy_rejected_total", "Commands that it told BUSY for lack of room.", |c| c.rejected);
    each("bulkhead_heavy_timed_out_total", "Commands stopped after heavy-timeout.", |c| c.timed_out);
    let mut each = |name, help, value: fn(&Counted) -> &Spread| {
        let mut metric = page.metric(name, Histogram, help);
        for (entry, counted) in &commands {
            let spread = value(counted);
            let sum = spread.sum_us as f64 / 1e6;
            metric.histogram(&labels(entry), spread.cumulative(), sum, spread.count());
        }
    };
    each("bulkhead_heavy_wait_seconds", "How long work waited for a thread.", |counted| &counted.waited);
    each("bulkhead_heavy_run_seconds", "How long a thread worked on it.", |counted| &counted.ran);
}

fn labels(entry: &Entry) -> [(&'static str, &'static str); 2] {
    [("command", entry.row.name), ("class", entry.row.class.name())]
}
