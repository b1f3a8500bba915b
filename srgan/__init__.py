"""Train, evaluate, promote and run super-resolution GANs (Ledig et al., CVPR 2017)."""
