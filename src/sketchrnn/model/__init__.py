"""The network: cells, the sequences they run over, the mixture they predict, the losses."""
