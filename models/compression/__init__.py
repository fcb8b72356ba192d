"""A latent code of the features: learnt inside each window, quantised to the five levels that every learner takes."""
