//! The dialect over tables in memory.

mod devops;
mod fixture;
mod functions;
mod sample_queries;
mod statements;
