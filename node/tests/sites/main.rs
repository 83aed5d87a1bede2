//! Members' folders and the real program: what commands say, how nodes end, what they make of what
//! lies in a folder or is missing there.

mod federation;
mod folders;
mod secrets;
mod signals;
mod waits;
