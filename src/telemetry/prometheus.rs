//! Prometheus's text format, version 0.0.4 (pure): families of samples, in the order in which they are written.

use std::fmt::{Display, Write};

use super::tally::{BOUNDS_US, Histogram};

/// The media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a number of a family means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Times by classes.
    Histogram,
}

/// Labels of a sample: names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A text in the making.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// The samples of one name.
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// A new name: what follows it are its samples.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        put(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.0, name }
    }

    /// The whole text.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// One number.
    pub fn sample(&mut self, labels: Labels, value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// Times, in seconds.
    pub fn histogram(&mut self, labels: Labels, histogram: &Histogram) -> &mut Self {
        let mut count = 0;
        let bounds = BOUNDS_US.iter().map(|bound| seconds(*bound).to_string()).chain(["+Inf".to_owned()]);
        for (class, bound) in histogram.classes.iter().zip(bounds) {
            count += class;
            self.line("_bucket", labels, Some(&bound), count);
        }
        self.line("_sum", labels, None, seconds(histogram.sum_us));
        self.line("_count", labels, None, count);
        self
    }

    fn line(&mut self, suffix: &str, labels: Labels, bound: Option<&str>, value: impl Display) {
        let (text, name) = (&mut *self.text, self.name);
        put(text, format_args!("{name}{suffix}"));
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut before = '{';
        for (label, value) in labels {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            put(text, format_args!("{before}{label}=\"{value}\""));
            before = ',';
        }
        let end = if before == ',' { "}" } else { "" };
        put(text, format_args!("{end} {value}\n"));
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Writing to a string can't fail.
fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::super::tally::{Route, Tally, Totals};
    use super::*;
    use crate::cluster::view::NodeId;

    #[test]
    fn is_as_the_format_has_it() {
        let mut text = Exposition::default();
        text.family(Kind::Gauge, "a", "One \\ two\nthree.").sample(&[], 1).sample(&[("b", "x\"\\\n"), ("c", "")], 2.5);
        let (mut tally, totals) = (Tally::new(1), Totals::new(1));
        tally.command(NodeId(0), Route::Reader, 200);
        tally.command(NodeId(0), Route::Reader, 20_000_000);
        tally.give_to(&totals);
        text.family(Kind::Histogram, "h_seconds", "H.")
            .histogram(&[("r", "x")], &totals.commands(NodeId(0), Route::Reader));
        let text = text.into_text();
        let begins = "# HELP a One \\\\ two\\nthree.\n# TYPE a gauge\na 1\na{b=\"x\\\"\\\\\\n\",c=\"\"} 2.5\n\
            # HELP h_seconds H.\n# TYPE h_seconds histogram\nh_seconds_bucket{r=\"x\",le=\"0.0001\"} 0\n\
            h_seconds_bucket{r=\"x\",le=\"0.00025\"} 1\n";
        assert!(text.starts_with(begins), "{text}");
        let ends = "h_seconds_bucket{r=\"x\",le=\"10\"} 1\nh_seconds_bucket{r=\"x\",le=\"+Inf\"} 2\n\
            h_seconds_sum{r=\"x\"} 20.0002\nh_seconds_count{r=\"x\"} 2\n";
        assert!(text.ends_with(ends), "{text}");
    }
}
