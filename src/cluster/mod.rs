//! The nodes of this site: probes, their judgement, and the view that is published.

pub mod view;
