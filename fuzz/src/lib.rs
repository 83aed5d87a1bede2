//! Feeds the protocol's decoders bytes that a peer might send, and says what must hold of them.
//!
//! Each module has one `play(bytes)` for one kind of input. It panics where a promise is broken;
//! [`ceiling`] ends the process where a decoder takes more memory than its input can justify.

pub mod ceiling;
pub mod charter;
pub mod choices;
pub mod compressed;
pub mod message;
pub mod outline;
pub mod record;
pub mod residual;
pub mod samples;
pub mod update;
