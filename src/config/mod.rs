//! Configuration: the file as written, and the validated model.
