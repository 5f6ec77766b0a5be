"""Tables of samples and tables of answers: the same whether a service is asked or a bundle answers in process."""
