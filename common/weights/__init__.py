"""Parameters on the disk: checkpoints, files of any naming, the model store."""
