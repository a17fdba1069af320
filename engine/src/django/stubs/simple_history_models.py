class HistoricalRecords:
    def contribute_to_class(self, cls, name):
        unknown(cls)
