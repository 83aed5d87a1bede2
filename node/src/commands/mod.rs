//! Commands that run a node, talk to one that runs, or load a model.

mod amend;
mod bench;
mod demo;
mod eval;
mod export;
mod founding;
mod generate;
mod import;
mod model;
mod numerics;
mod status;
mod tokenizer;
mod top;

pub(crate) use amend::refuse_secret;
pub use amend::{amendments, leave, propose, vote};
pub use bench::{BenchCommand, bench};
pub use demo::demo;
pub use eval::eval;
pub use export::export;
pub use founding::LocalFederation;
pub use generate::generate;
pub use import::import;
pub use numerics::{NumericsArgs, numerics};
pub use status::status;
pub use top::top;

use crate::{
    cli::args::RunArgs,
    driver::{self, Options},
};

/// `archipel run`.
///
/// # Errors
/// Where the folder cannot be taken up, or the node cannot go on.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let options = Options {
        dir: args.dir.clone(),
        json: args.json,
        until_stdin_closes: args.until_stdin_closes,
        observe: args.observe,
    };
    let result = runtime.block_on(driver::start(&options));
    // What a worker still does is of no use to anyone.
    runtime.shutdown_background();
    result
}
