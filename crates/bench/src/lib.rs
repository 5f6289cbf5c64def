//! Measuring speed: load that does not wait for answers, percentiles, the memory's bandwidth, and llama.cpp beside us.
//!
//! Called by `nestor bench`, which brings what is measured as a function. It must not know models or text.

mod bandwidth;
mod load;
mod peer;
mod percentiles;

pub use bandwidth::read_bandwidth;
pub use load::{Served, poisson_arrivals, serve};
pub use peer::{PeerError, PeerShape, PeerTimes, llama_cpp};
pub use percentiles::Percentiles;
