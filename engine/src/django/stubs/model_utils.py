from .tracker import FieldTracker, ModelTracker
