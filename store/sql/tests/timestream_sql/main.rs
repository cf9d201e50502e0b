//! The dialect over tables in memory.

mod devops;
mod fixture;
mod sample_queries;
mod smoke;
