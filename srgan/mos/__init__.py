"""Mean opinion score studies (section 3.3 of the paper): what people's judgements say."""
