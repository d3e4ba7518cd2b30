//! The files of media: streamed to a temporary name, checked, synced, and only then given their final one.
