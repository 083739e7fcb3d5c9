// Package language tells in which language a text is written: Chinese (and in which characters), English, Japanese, Korean
// and others.
//
//	r := language.Identify(text)
//	if r.Tag() != "zh-Hans" || r.Score < 0.65 {
//		drop(r)
//	}
//
// First the letters are counted by script, which decides for Chinese, Japanese, Korean, Thai and all others that have a
// script of their own. The languages of the Latin, Cyrillic, Arabic and Devanagari scripts are told apart on a sample of
// the text: English by its function words, the others by their frequent trigrams (github.com/abadojack/whatlanggo), among
// a list of languages.
//
// Scripts are weighed by what a letter says: a Chinese character, a kana or a Korean syllable three times as much as a
// letter of an alphabet, which is about the ratio of their bytes in UTF-8. So a Chinese manual full of English names stays
// Chinese, and a text of a Chinese and an English half is mixed.
//
// Limits: a Japanese text without a kana is taken for Chinese; a sentence of a few words in a Latin script is often
// mistaken, which its Score says; code counts as the language of its names.
package language
