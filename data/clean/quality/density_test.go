package quality_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gofinetune/finetune/data/clean/quality"
)

// Passages of books and manuals, and of blogs and advertisements, in both languages.
var (
	dense = map[string]string{
		"zh manual": `3.2 水泥砂浆找平层
1. 基层含水率不得大于8%，表面平整度允许偏差为4毫米，用2米靠尺和塞尺检查。
2. 砂浆配合比按重量为水泥1：砂2.5，水灰比不大于0.45，搅拌时间不少于3分钟。
3. 铺设厚度为20毫米至30毫米，分格缝间距不大于6米，缝宽5毫米，嵌填弹性密封膏。
4. 终凝后覆盖养护，养护时间不少于7天，抗压强度达到5兆帕后方可上人。
注意：环境温度低于5℃时不得施工；冬期施工应符合《建筑工程冬期施工规程》JGJ/T 104的规定。`,
		"zh book": `热传导是指物体各部分之间不发生相对位移时，依靠分子、原子及自由电子等微观粒子的热运动而产生的热量传递。傅里叶定律指出，单位时间内通过给定截面的热量，
正比于垂直于该截面方向上的温度变化率和截面面积，方向与温度升高的方向相反。比例系数称为导热系数，单位为瓦每米开尔文。金属的导热系数最高，银在0℃时为418，紫铜为399；
建筑材料介于0.16至2.2之间；气体最小，空气在20℃时仅为0.0259。导热系数取决于物质的种类和温度，多孔材料还受湿度影响：矿渣棉受潮后可增大一倍以上。`,
		"zh history": `1876年3月10日，亚历山大·贝尔在波士顿的实验室里通过导线传出了第一句话。同年6月，这台装置在费城百年博览会上展出。1878年，康涅狄格州纽黑文设立了第一个商业交换台，
登记用户21家。1892年，阿尔蒙·斯特罗格发明的步进制自动交换机在印第安纳州拉波特投入使用，容量为75门。此后三十年间，贝尔系统的长途线路从1880年的47公里延伸到1915年横贯大陆的5400公里，
其关键是德福雷斯特的三极管放大器。`,
		"en manual": `4.3 Replacing the pressure valve
1. Close the supply valve V12 and release the pressure until the gauge M3 reads less than 0.2 bar.
2. Loosen the four M8 bolts in the order shown in Figure 7 and remove the housing.
3. Inspect the sealing surface. Its roughness must not exceed Ra 1.6; scratches deeper than 0.05 mm require replacement.
4. Insert the new cartridge (part no. VX-2207) and tighten the bolts to 25 N m, then to 40 N m.
Warning: the cartridge is spring-loaded. Temperatures above 60 C shall be avoided during installation, see section 2.1.`,
		"en book": `The Reynolds number is defined as the ratio of inertial to viscous forces within a fluid. Osborne Reynolds described it in 1883 after experiments at Owens College in
Manchester, in which dye was injected into water flowing through a glass tube. Below a value of about 2300, flow in a circular pipe remains laminar; above 4000 it becomes turbulent, and
between them lies a region of transition that depends on the roughness of the wall and on disturbances at the inlet. For a sphere the drag coefficient falls from 0.47 to roughly 0.1 near
a Reynolds number of 300000, because separation of the boundary layer moves downstream.`,
	}
	thin = map[string]string{
		"zh blog": `大家好呀，我又来啦！今天给大家分享一下我家装修的那些事儿，真的是一言难尽哈哈哈。话说当初买房的时候我就特别特别开心，觉得终于有自己的小窝了，然后就开始各种看各种想，
每天都睡不着觉。我老公说随便弄弄就行了，我觉得那怎么可以呢，对吧？反正后来我们就吵了好几次架，不过最后还是听我的啦。说实话效果真的超级好，我太喜欢了！你们觉得怎么样呢？快来评论区告诉我吧！`,
		"zh story": `昨天晚上我跟朋友一起出去吃饭，吃完饭以后我们就在街上走了走，聊了很多以前的事情。他说他现在过得还可以，就是有时候觉得有点累，不知道自己想要什么。我说其实我也是这样的，
大家都是这样的吧。后来我们又去喝了点东西，一直聊到很晚才回家。回到家里我就想，人和人之间真的很奇妙，有些话跟别人说不出来，跟他就可以说。`,
		"zh advert": `乳胶漆批发 厂家直销 免费咨询 乳胶漆最新报价 点击下单 优惠多多！！！木地板批发 木地板价格 免费咨询 厂家直销 限时秒杀！踢脚线批发 踢脚线最新报价 点击下单 加微信有优惠！
乳胶漆批发 厂家直销 免费咨询 欢迎来电 走过路过不要错过！`,
		"en blog": `Hey guys, so I finally did it! I've been thinking about redoing my kitchen for like forever and honestly I just couldn't wait any more. You know how it is, you see all those
awesome pictures and you're like, I want that too! So my husband and I went to the shop and we got so many things, it was amazing. I'm really happy with how it turned out and I can't wait
to show you more. Let me know what you think and don't forget to subscribe!`,
		"en talk": `I was thinking about what you said to me the other day and I think that you are right about it. We have not been there for a very long time, and when we do go there it is
always so nice. I do not know why we do not go more often. They were all so happy to see us the last time we came, and they asked when we would be back. So I told them that it would
be soon, but then we got so busy with all the other things that we had to do.`,
	}
)

func TestBooksAndManualsComeBeforeBlogs(t *testing.T) {
	for name, d := range dense {
		for other, text := range thin {
			assert.Greater(t, quality.Density(d).Score, quality.Density(text).Score, "%s against %s", name, other)
		}
	}
	for _, texts := range []map[string]string{dense, thin} {
		for name, text := range texts {
			t.Logf("%-10s %v", name, quality.Density(text))
		}
	}
}

// Junk is not dense: the shuffled words and tables of numbers among it fall below most good texts.
func TestDataDensityRanksJunkLast(t *testing.T) {
	var scores []float64
	var good []bool
	for _, e := range examples(t, "quality_test.jsonl") {
		scores, good = append(scores, quality.Density(e.Text).Score), append(good, e.Good)
	}
	auc := quality.AUC(scores, good)
	t.Logf("AUC %.3f, untrained", auc)
	assert.Greater(t, auc, 0.75)
}

func TestEachPartSeesWhatItIsAbout(t *testing.T) {
	book := dense["zh book"]
	base := quality.Density(book)
	assert.Less(t, quality.Density(strings.Repeat(book[:300], 8)).Information, 0.5*base.Information, "repetition")
	assert.Less(t, quality.Density(book+"点击下单！免费咨询！加微信！").Plainness, base.Plainness, "advertising")
	assert.Greater(t, quality.Density(dense["zh manual"]).Structure, quality.Density(thin["zh story"]).Structure)
	assert.Greater(t, quality.Density(dense["en manual"]).Numbers, quality.Density(thin["en talk"]).Numbers)
	assert.Greater(t, quality.Density(dense["zh history"]).Numbers, 0.3)
	assert.Greater(t, quality.Density(dense["en manual"]).Entities, quality.Density(thin["en blog"]).Entities)
	assert.Less(t, quality.Density(strings.Repeat("3237.55 6554.71 8339.37 116.09 ", 40)).Score, 0.1, "numbers alone")
	for _, text := range []string{"", "你好", "Hello there.", "\xff\xfe\xfd"} {
		assert.Zero(t, quality.Density(text), "%q says too little", text)
	}
}

// The length of a text must not decide: a book's first page stands about where the book stands.
func TestDensityHardlyDependsOnLength(t *testing.T) {
	var all []string
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range dense {
			if !yield(name) {
				return
			}
		}
	}) {
		if strings.HasPrefix(name, "zh") {
			all = append(all, dense[name])
		}
	}
	whole := strings.Join(all, "\n")
	assert.InDelta(t, quality.Density(whole).Score, quality.Density(all[0]).Score, 0.2)
}

func ExampleDensity() {
	manual := quality.Density("2. 砂浆配合比按重量为水泥1：砂2.5，水灰比不大于0.45，搅拌时间不少于3分钟，厚度为20毫米。")
	blog := quality.Density("大家好呀，今天给大家分享一下我家装修的那些事儿，真的是一言难尽哈哈哈，快来评论区告诉我吧！")
	fmt.Println(manual.Score > blog.Score, manual.Plainness, blog.Plainness)
	// Output: true 1 0
}
