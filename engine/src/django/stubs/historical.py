class HistoricalModel:
    pass
