"""One trainer, losses, targets, augmentation."""
