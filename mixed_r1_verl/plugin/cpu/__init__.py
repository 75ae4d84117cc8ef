"""What is needed only without an accelerator; never imported beside one."""
