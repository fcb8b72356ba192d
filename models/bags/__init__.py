"""Members that are bags: the average of several fits of one learner, within each era."""
