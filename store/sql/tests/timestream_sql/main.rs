//! The dialect over tables in memory.

mod book;
mod devops;
mod fixture;
mod functions;
mod properties;
mod sample_queries;
mod statements;
