//! `pixelrush smoke`.

use std::process::ExitCode;
use std::time::Duration;

use e2e::{junit, smoke};

use crate::cli::SmokeArgs;

/// Runs the suite and tells of each case.
pub(crate) async fn run(args: &SmokeArgs) -> ExitCode {
    let options = smoke::Options {
        targets: args.targets.clone(),
        mode: args.mode.clone(),
        patience: Duration::from_secs(args.patience),
    };
    let cases = smoke::run(&options, |case| match &case.failure {
        None => println!("ok      {:>6.1}s  {}", case.took.as_secs_f64(), case.name),
        Some(failure) => {
            println!(
                "FAILED  {:>6.1}s  {}: {failure}",
                case.took.as_secs_f64(),
                case.name
            );
        }
    })
    .await;
    let failed = cases.iter().filter(|case| case.failure.is_some()).count();
    println!("{} passed, {failed} failed", cases.len() - failed);
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, junit::report("pixelrush smoke", &cases))
    {
        eprintln!("pixelrush: cannot write {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
