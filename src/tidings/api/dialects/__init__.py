"""Routes in the shapes of other systems, for clients that were written for those."""
