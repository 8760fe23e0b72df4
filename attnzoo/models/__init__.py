"""The video diffusion model: a stock 2-D U-Net, the slots that inflate it, noise and sampling."""
