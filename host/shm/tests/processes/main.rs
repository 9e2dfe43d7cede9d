//! Real processes over real mappings: killed, stopped, and lying.
//!
//! By default this takes some seconds. The long forms:
//!
//! - `SHM_KILLS=100000` lets the chaos go on for that many kills;
//! - `SHM_SWEEP_STEP=1` kills at every single instruction, best with `--release`;
//! - `SHM_SCRIBBLE_SECONDS=600` scribbles for so long.

mod chaos;
mod child;
mod scribbler;
mod seals;
mod sweep;
mod world;
