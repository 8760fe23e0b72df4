"""What a model's frozen parts and the flow estimator say of training clips, computed once."""
