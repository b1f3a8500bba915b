"""Mean opinion score studies (section 3.4 of the paper): what people's judgements say."""
